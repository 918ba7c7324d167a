#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "support/draw.h"

namespace thimble {

// One input of the op under test. Rank 0: absent.
struct TestInput {
  Shape shape;
  ElementType type = ElementType::f32;
  Draw draw = uniform(-1, 1);
  bool wanted = true;  // f32 only: its gradient is asked for and compared
};

inline TestInput f32(const Shape& shape, Draw draw = uniform(-1, 1)) {
  return {shape, ElementType::f32, std::move(draw), true};
}
// An f32 input that has no gradient: statistics, learning rates.
inline TestInput constant(const Shape& shape, Draw draw = uniform(-1, 1)) {
  return {shape, ElementType::f32, std::move(draw), false};
}
inline TestInput i32(const Shape& shape, Draw draw) {
  return {shape, ElementType::i32, std::move(draw), false};
}
inline TestInput absent() { return {}; }

// One setting to test an op in. Parameters (and the step counter) that `inputs` leaves out are
// made as a layer makes them; their values are drawn around their initial value, statistics get no
// gradient.
struct OpCase {
  std::vector<TestInput> inputs = {};
  Attributes attributes = {};  // defaults where absent

  // Outputs that a gradient reaches. The others must be constants to the outside (batch norm's
  // mean).
  std::vector<size_t> seeded = {0};
  // How many gradients reach each seeded output: they add up.
  int seed_parts = 1;
  // True: output seeded[0] is the loss itself, and its gradient (one) is not passed.
  bool is_loss = false;

  // Complex step; false (or no complex kernel): central difference, so keep values away from kinks.
  bool complex_step = true;
  double gradient_tolerance = 1e-7;  // in double, relative to the tensor's largest element
  double f32_tolerance = 1e-5;       // f32 against f64, and backends against portable
  double inverse_tolerance = 1e-5;   // as f32_tolerance, of an input that was had again
  uint64_t seed = 1;                 // of the drawn values
};

// Holds `op` to everything that its definition claims, in each case:
//   * kernels write all of every output and nothing else, and read no scratch they did not write;
//   * gradients against complex step or central difference, for all wanted inputs and subsets;
//   * f32 against f64; every backend against the portable kernel;
//   * in-place pairs give the same bits, alone and together;
//   * backward reads nothing of the forward node but what it saves;
//   * elementwise ops are;
//   * an input that can be had again from the outputs is what it was, also to the gradients.
// Backward nodes are checked like forward ones.
void check_op(const std::string& op, const std::vector<OpCase>& cases);

// The values of the outputs, then of the updated inputs, run in double; empty for absent ones.
std::vector<std::vector<double>> run_op(const std::string& op, const OpCase& c);

// The shape of output 0.
Shape output_shape(const std::string& op, const OpCase& c);

// The ports that `saves` lists, inputs first: "src, weights".
std::string saved_by(const std::string& op, const OpCase& c);

// The forward graph of a case: data tensors "in0", "in1", ..., and one layer "layer".
Graph op_graph(const std::string& op, const OpCase& c);

}  // namespace thimble
