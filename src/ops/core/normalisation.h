#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "ops/core/gradient.h"

// What batch and group normalisation share: dst = activation(src * scale + shift + addend), where
// the residual addend and the activation are those that follow a normalisation in networks.
// N batch; C channels; A the H*W positions of a plane (1 for rank 2).
// Inputs: src, addend, gamma, beta, ...; outputs: dst, mean, inv_std, mask.
// src, addend, dst (N, C, H, W) or (N, C); gamma, beta (C); mask (N, C, ceil(A/8)): one bit for
// each element, set where the activation lets the gradient pass whole.

namespace thimble {

struct Activation {
  enum Kind : uint8_t { none, relu, relu6, leaky_relu };
  Kind kind = none;
  double slope = 0;  // of leaky_relu, below zero
  bool operator==(Kind other) const { return kind == other; }
};

// Throws UserError in the name of `op`.
Activation activation_of(const std::string& op, const Attributes& a);

template <class T>
T activate(Activation activation, T x) {
  if (activation == Activation::none) return x;
  if (branch_value(x) <= 0)
    return activation == Activation::leaky_relu ? T(activation.slope) * x : T(0);
  return activation == Activation::relu6 && branch_value(x) >= 6 ? T(6) : x;
}

// Whether a gradient passes whole: the same answer from the activation's input and its output.
template <class T>
bool passes(Activation activation, T x) {
  if (activation == Activation::none) return true;
  return branch_value(x) > 0 && (activation != Activation::relu6 || branch_value(x) < 6);
}

// What is left of a gradient that does not.
template <class T>
T held_back(Activation activation, T diff) {
  return activation == Activation::leaky_relu ? T(activation.slope) * diff : T(0);
}

// Normalisation and affine map of one channel. Backward asks the very same expression which
// elements the activation cut off, so it must round the same way: see -ffp-contract.
template <class T>
struct Affine {
  T scale, shift;

  Affine(T gamma, T beta, T mean, T inv_std)
      : scale(gamma * inv_std), shift(beta - mean * (gamma * inv_std)) {}
  T operator()(T x) const { return x * scale + shift; }
};

struct Planes {
  int64_t n, c, a;
  explicit Planes(const Shape& s) : n(s[0]), c(s[1]), a(s.elements() / (s[0] * s[1])) {}

  int64_t mask_row() const { return (a + 7) / 8; }
  bool bit(const uint8_t* mask, int64_t i) const {
    const int64_t pixel = i % a;
    return (mask[i / a * mask_row() + pixel / 8] >> (pixel % 8) & 1) != 0;
  }
  // The mask of plane `plane` of N*C.
  template <class T>
  void write_mask(int64_t plane, Activation activation, const T* dst, uint8_t* mask) const {
    for (int64_t begin = 0; begin < a; begin += 8) {
      unsigned bits = 0;
      for (int64_t k = 0; k < std::min<int64_t>(8, a - begin); ++k) {
        bits |= unsigned{passes(activation, dst[plane * a + begin + k])} << k;
      }
      mask[plane * mask_row() + begin / 8] = static_cast<uint8_t>(bits);
    }
  }
};

// The gradient below the activation, which the inputs of a backward node give: diff_dst (1) and
// diff_dst_2 (2), and what the activation cut off, by dst (7), by mask (8) or by src (0) alone. src
// is absent where the statistics are given and nobody asks for diff_gamma.
template <class T>
struct Upstream {
  const Planes& planes;
  Activation activation;
  const T *src, *diff_dst, *diff_dst_2, *dst;
  const uint8_t* mask;

  Upstream(const OpCall& call, const Planes& p, Activation act)
      : planes(p),
        activation(act),
        src(call.in<T>(0)),
        diff_dst(call.in<T>(1)),
        diff_dst_2(call.in<T>(2)),
        dst(call.in<T>(7)),
        mask(call.in<uint8_t>(8)) {}

  T operator()(int64_t i, const Affine<T>& affine) const {
    const T sum = diff_dst_2 != nullptr ? diff_dst[i] + diff_dst_2[i] : diff_dst[i];
    if (activation == Activation::none) return sum;
    const bool whole = mask != nullptr
                           ? planes.bit(mask, i)
                           : passes(activation, dst != nullptr ? dst[i] : affine(src[i]));
    return whole ? sum : held_back(activation, sum);
  }
};

// The attributes "activation" and "mask".
void add_activation_attributes(std::vector<AttributeSpec>& specs);
bool makes_mask(const std::string& op, const Attributes& a, bool has_addend);
// Of src, the addend, and `parameters` inputs from gamma on; and the mask's, or none.
void check_normalised(const std::string& op, const OpShapes& s, size_t parameters);
TensorSpec mask_spec(const std::string& op, const OpShapes& s);
// What saves lists beside the statistics: src, gamma, beta, and what the activation cut off.
Saves normalisation_saves(const std::string& op, const OpShapes& s, bool frozen = false);

// Emits the node `op`_backward, whose inputs 5 and 6 are the statistics. `frozen`: those do not
// depend on src, so that src is read for diff_gamma alone; dst or mask say what was cut off.
void normalisation_gradient(const std::string& op, GradientBuilder& g, TensorId mean,
                            TensorId inv_std, bool frozen = false);
// That node's ports, pairs and shapes.
void define_normalisation_backward(OpDef& def);

}  // namespace thimble
