#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "onnx/refused.h"

namespace thimble {

// A whole number of a shape computation, base + per_batch * N: how large the batch N will be, a
// file does not know.
struct Whole {
  int64_t base = 0;
  int64_t per_batch = 0;
  bool known() const { return per_batch == 0; }
  friend bool operator==(const Whole&, const Whole&) = default;
};

Whole operator+(const Whole& a, const Whole& b);
Whole operator-(const Whole& a, const Whole& b);
// These throw Refused where the result is no such number.
Whole operator*(const Whole& a, const Whole& b);
Whole operator/(const Whole& a, const Whole& b);  // rounds towards zero
bool equal(const Whole& a, const Whole& b);       // N is positive
int64_t known(const Whole& a);                    // throws Refused when it depends on the batch

// What is known before any image comes: initialisers, and what is computed from them.
struct Constant {
  std::vector<int64_t> shape;  // outermost first; empty: one value
  bool whole = false;          // integers and booleans; else numbers of any precision, as f32
  std::vector<Whole> wholes;
  std::vector<float> reals;
  std::string origin;  // the initialiser that it is, perhaps with its elements in another order

  int64_t elements() const { return static_cast<int64_t>(whole ? wholes.size() : reals.size()); }
};

// The product of sizes that a file claims. Throws Refused unless it is from 0 to `most`.
int64_t elements_of(const std::vector<int64_t>& shape, int64_t most);

// Decodes a tensor of a file. Throws Refused when its numbers do not fill its shape, or are of a
// type that networks do not have.
Constant constant_of(const onnx::TensorProto& tensor);

Constant whole_list(const std::vector<Whole>& values);  // of rank 1

// Its values as numbers that do not depend on the batch.
std::vector<int64_t> known_values(const Constant& constant);
// Its only value, whatever its rank. Throws Refused when there are more.
double scalar_of(const Constant& constant);

}  // namespace thimble
