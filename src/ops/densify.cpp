#include <algorithm>

#include "ops/core/builder.h"
#include "ops/core/gradient.h"
#include "ops/core/sparse.h"
#include "ops/core/text.h"

// A sparse weight written out for the layer that reads it, and the gradient of its active values.
// values (active units * block), active (bytes of the index; ops/core/sparse.h), dst: the shape of
// the dense weight. On other memory layouts backends have kernels of their own.

namespace thimble {
namespace {

struct Densify {
  template <class T>
  static void run(const OpCall& call) {
    const SparseShape shape = sparse_shape(call.attributes);
    const T* values = call.in<T>(0);
    const int64_t count = call.in_shape(0).elements() / shape.block;
    const SparseIndex index(call.in<uint8_t>(1), shape, count);
    T* dst = call.out<T>(0);
    parallel_for(call.out_shape(0).elements(), kParallelGrain,
                 [&](int64_t begin, int64_t end) { std::fill(dst + begin, dst + end, T(0)); });
    parallel_for(index.tiles, 1, [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        index.each_of_tile(tile, [&](int64_t i, int64_t unit) {
          for (int64_t k = 0; k < shape.block; ++k) {
            dst[shape.position(unit, k)] = values[i * shape.block + k];
          }
        });
      }
    });
  }
};

struct Gather {
  template <class T>
  static void run(const OpCall& call) {
    const SparseShape shape = sparse_shape(call.attributes);
    const T* diff = call.in<T>(0);
    T* values = call.out<T>(0);
    const int64_t count = call.out_shape(0).elements() / shape.block;
    const SparseIndex index(call.in<uint8_t>(1), shape, count);
    parallel_for(index.tiles, 1, [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        index.each_of_tile(tile, [&](int64_t i, int64_t unit) {
          for (int64_t k = 0; k < shape.block; ++k) {
            values[i * shape.block + k] = diff[shape.position(unit, k)];
          }
        });
      }
    });
  }
};

void check_dense(const std::string& op, const Attributes& a) {
  const auto& sizes = a.integers("shape");
  require(sizes.size() >= 2 && sizes.size() <= Shape::kMaxRank &&
              *std::min_element(sizes.begin(), sizes.end()) > 0,
          op, ": shape takes 2 to ", Shape::kMaxRank, " positive sizes, got ", text_of(sizes));
  const int64_t block = a.integer("block"), group = a.integer("group");
  require((block == 1 || block == kSparseBlock) && sizes[0] % block == 0, op,
          ": block is 1 or 16 and divides the outputs, got ", block, " for ", text_of(sizes));
  require(is_group(group) && sizes[1] % group == 0 && (group == 1 || block == 1), op,
          ": group is a power of two up to ", kLargestGroup,
          " that divides the input channels, got ", group, " for ", text_of(sizes));
}

void check_active(const std::string& op, const Attributes& a, int64_t values, const Shape& active) {
  const SparseShape shape = sparse_shape(a);
  const int64_t count = values / shape.block;
  require(values % shape.block == 0 && count > 0 && count <= shape.units(), op, ": ", values,
          " values are no part of ", shape.units(), " units of ", shape.block);
  require(shape.group == 1 || count % shape.groups() == 0, op, ": ", count,
          " active units are not equally many of each of ", shape.groups(), " groups");
  require(active == Shape{index_bytes(shape, count)}, op, ": ", count,
          " active units need an index of ", index_bytes(shape, count), " bytes, got ", active);
}

OpDef gather() {
  OpDef def;
  def.name = "gather_active";
  def.summary = "the gradient of a sparse weight's active values, from the dense one";
  def.attributes = sparse_attributes();
  def.attributes.push_back({"values", int64_t{0}, "active values"});
  def.inputs = {{"diff_dst"}, {"active"}};
  def.outputs = {{"diff_values"}};
  def.infer = [](const OpShapes& s) {
    check_dense("gather_active", s.attributes);
    const int64_t values = s.attributes.integer("values");
    check_active("gather_active", s.attributes, values, s.inputs[1]);
    return std::vector<TensorSpec>{{{values}, ElementType::f32}};
  };
  def.kernels = portable_kernels<Gather>();
  return def;
}

}  // namespace

void define_densify(OpTable& table) {
  OpDef def;
  def.name = "densify";
  def.summary = "a sparse weight, written out for the layer that reads it";
  def.attributes = sparse_attributes();
  def.inputs = {{"values"}, {"active"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    check_dense("densify", s.attributes);
    check_active("densify", s.attributes, s.inputs[0].elements(), s.inputs[1]);
    return std::vector<TensorSpec>{{dense_shape(s.attributes), ElementType::f32}};
  };
  def.gradient = [](GradientBuilder& g) {
    Attributes a = g.attributes();
    a.set("values", g.input_shape(0).elements());
    g.set_diff_input(0, g.emit("gather_active", {g.diff_output(), g.input(1)}, a)[0]);
  };
  def.saves = [](const OpShapes&) { return Saves{{1}, {}}; };
  def.follows_reader = true;
  def.kernels = portable_kernels<Densify>();
  table.add(def);
  table.add(gather());
}

}  // namespace thimble
