#pragma once

#include "ops/core/copy.h"
#include "ops/core/gradient.h"

// A feature map (N, C, H, W) taken apart: pixel (i, j) of each block of B x B neighbours goes to
// phase i * B + j, which has a map of its own, of H/B x W/B. In memory the phases of an example
// follow each other, (N, B * B, C, H/B, W/B); whether that is read as B * B times as many channels
// or as examples is a matter of the shape alone (arXiv 1802.07088; the draft's equation 29).

namespace thimble {

inline constexpr int64_t kLargestSpaceBlock = 64;

// Copies between an example of `whole` and its phases; `apart`: to the phases.
template <bool apart, class T>
void copy_phases(const Shape& whole, int64_t block, const T* src, T* dst) {
  const int64_t channels = whole[1], width = whole[3] / block;
  const int64_t phase = channels * (whole[2] / block) * width;
  parallel_for(channels * whole[2], grain_of(whole[3]), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t y = row % whole[2];
      const int64_t c = row / whole[2];
      const int64_t in_whole = row * whole[3];
      const int64_t in_phase =
          y % block * block * phase + (c * (whole[2] / block) + y / block) * width;
      for (int64_t j = 0; j < block; ++j) {
        for (int64_t x = 0; x < width; ++x) {
          const int64_t one = in_whole + x * block + j;
          const int64_t other = in_phase + j * phase + x;
          dst[apart ? other : one] = src[apart ? one : other];
        }
      }
    }
  });
}

// An example's pixels stay among themselves, so that it may be moved where it lies, through
// scratch.
template <bool apart, class T>
void move_phases(const OpCall& call, const Shape& whole) {
  const int64_t example = whole.elements() / whole[0];
  T* before = static_cast<T*>(call.scratch);
  for (int64_t n = 0; n < whole[0]; ++n) {
    copy_elements(call.in<T>(0) + n * example, before, example);
    copy_phases<apart>(whole, call.attributes.integer("block"), before,
                       call.out<T>(0) + n * example);
  }
}

struct TakeApart {
  template <class T>
  static void run(const OpCall& call) {
    move_phases<true, T>(call, call.in_shape(0));
  }
};

struct PutTogether {
  template <class T>
  static void run(const OpCall& call) {
    move_phases<false, T>(call, call.out_shape(0));
  }
};

// Throws UserError unless (N, C, H, W) can be taken apart in blocks. Returns the shape of a phase.
inline Shape phase_of(const std::string& op, const OpShapes& s) {
  const Shape& src = s.inputs[0];
  const int64_t block = s.attributes.integer("block");
  require(block >= 2 && block <= kLargestSpaceBlock, op, ": block is ", block, ", needs 2 to ",
          kLargestSpaceBlock);
  require(src.rank() == 4 && src[2] % block == 0 && src[3] % block == 0, op,
          ": src must be (N, C, H, W) whose sides are multiples of ", block, ", got ", src);
  return {src[0], src[1], src[2] / block, src[3] / block};
}

// The map of which `axis` of src counts B * B phases.
inline Shape whole_of(const std::string& op, const OpShapes& s, int axis) {
  const Shape& src = s.inputs[0];
  const int64_t block = s.attributes.integer("block");
  require(block >= 2 && block <= kLargestSpaceBlock, op, ": block is ", block, ", needs 2 to ",
          kLargestSpaceBlock);
  require(src.rank() == 4 && src[axis] % (block * block) == 0, op,
          ": src must be (N, C, H, W) whose ", axis == 0 ? "examples" : "channels",
          " are a multiple of ", block * block, ", got ", src);
  Shape whole{src[0], src[1], src[2] * block, src[3] * block};
  whole[axis] /= block * block;
  return whole;
}

// Of two such ops each is the other's inverse, and its gradient. `infer`: dst's shape.
inline OpDef space_op(const std::string& name, const std::string& other, bool apart,
                      std::function<Shape(const OpShapes&)> infer) {
  OpDef def;
  def.name = name;
  def.attributes = {{"block", int64_t{2}, "the side of the squares of pixels"}};
  def.inputs = {{"src"}};
  def.outputs = {{"dst"}};
  def.gradient = [other](GradientBuilder& g) {
    g.set_diff_input(0, g.emit(other, {g.diff_output()}, g.attributes())[0]);
  };
  def.inverse = [other](const Graph&, const Node& node, size_t) {
    Node again = node;
    again.op = other;
    again.inputs = node.outputs;
    return Inverse{std::move(again)};
  };
  def.infer = [infer](const OpShapes& s) { return std::vector<TensorSpec>{{infer(s)}}; };
  def.in_place = {{0, 0}};
  def.scratch_scalars = [apart, infer](const OpShapes& s) {
    const Shape whole = apart ? s.inputs[0] : infer(s);
    return whole.elements() / whole[0];
  };
  def.flops = no_flops;
  def.kernels = apart ? portable_kernels<TakeApart>() : portable_kernels<PutTogether>();
  return def;
}

}  // namespace thimble
