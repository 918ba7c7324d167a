#include <algorithm>

#include "ops/core/builder.h"
#include "ops/core/drop_grow.h"
#include "ops/core/gradient.h"
#include "ops/core/text.h"

// A pointwise convolution (1x1, stride 1) computed on the active blocks of its sparse weight: no
// dense weight exists at any moment, nor its gradient. src (N, C, H, W); values, active: as in
// ops/densify.cpp, of a weight (O, C, 1, 1) in blocks of 16 outputs; dst (N, O, H, W).

namespace thimble {
namespace {

struct Maps {
  int64_t n, c, o, a;  // images, channels in and out, pixels
  SparseShape weight;
  Maps(const Shape& src, const Attributes& attributes)
      : n(src[0]),
        c(src[1]),
        o(attributes.integers("shape")[0]),
        a(src[2] * src[3]),
        weight(sparse_shape(attributes)) {}
};

// Calls `body(i, first output, channel)` for the active units of the outputs' blocks one by one.
template <class Body>
void each_unit(const Maps& m, const uint8_t* active, int64_t units, const Body& body) {
  const SparseIndex index(active, m.weight, units);
  index.each([&](int64_t i, int64_t unit) { body(i, unit / m.c * m.weight.block, unit % m.c); });
}

template <class T>
void add_scaled(T* to, T factor, const T* from, int64_t count) {
  for (int64_t p = 0; p < count; ++p) to[p] += factor * from[p];
}

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const Maps m(call.in_shape(0), call.attributes);
    const T* src = call.in<T>(0);
    const T* values = call.in<T>(1);
    T* dst = call.out<T>(0);
    const int64_t block = m.weight.block;
    const int64_t units = call.in_shape(1).elements() / block;
    parallel_for(m.n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        std::fill(dst + n * m.o * m.a, dst + (n + 1) * m.o * m.a, T(0));
        each_unit(m, call.in<uint8_t>(2), units, [&](int64_t i, int64_t o, int64_t c) {
          for (int64_t k = 0; k < block; ++k) {
            add_scaled(dst + (n * m.o + o + k) * m.a, values[i * block + k],
                       src + (n * m.c + c) * m.a, m.a);
          }
        });
      }
    });
  }
};

struct BackwardData {
  template <class T>
  static void run(const OpCall& call) {
    const Maps m(call.out_shape(0), call.attributes);
    const T* values = call.in<T>(0);
    const T* diff_dst = call.in<T>(2);
    T* diff_src = call.out<T>(0);
    const int64_t block = m.weight.block;
    const int64_t units = call.in_shape(0).elements() / block;
    parallel_for(m.n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        std::fill(diff_src + n * m.c * m.a, diff_src + (n + 1) * m.c * m.a, T(0));
        each_unit(m, call.in<uint8_t>(1), units, [&](int64_t i, int64_t o, int64_t c) {
          for (int64_t k = 0; k < block; ++k) {
            add_scaled(diff_src + (n * m.c + c) * m.a, values[i * block + k],
                       diff_dst + (n * m.o + o + k) * m.a, m.a);
          }
        });
      }
    });
  }
};

template <class T>
T correlate(const Maps& m, const T* src, const T* diff_dst, int64_t o, int64_t c) {
  T sum(0);
  for (int64_t n = 0; n < m.n; ++n) {
    const T* x = src + (n * m.c + c) * m.a;
    const T* d = diff_dst + (n * m.o + o) * m.a;
    for (int64_t p = 0; p < m.a; ++p) sum += x[p] * d[p];
  }
  return sum;
}

struct BackwardWeights {
  template <class T>
  static void run(const OpCall& call) {
    const Maps m(call.in_shape(0), call.attributes);
    const int64_t block = m.weight.block;
    T* diff = call.out<T>(0);
    each_unit(m, call.in<uint8_t>(2), call.out_shape(0).elements() / block,
              [&](int64_t i, int64_t o, int64_t c) {
                for (int64_t k = 0; k < block; ++k) {
                  diff[i * block + k] = correlate(m, call.in<T>(0), call.in<T>(1), o + k, c);
                }
              });
  }
};

// The gradient of a unit is made when it is asked for: the dense one never exists.
struct Candidates {
  template <std::floating_point T>
  static void run(const OpCall& call) {
    const Maps m(call.in_shape(0), call.attributes);
    const int64_t active = call.attributes.integer("values") / m.weight.block;
    const int64_t count = replaced_in(call.attributes, active, call.in<int32_t>(3)[0]);
    if (count == 0) return;
    const SparseIndex index(call.in<uint8_t>(2), m.weight, active);
    find_candidates(m.weight, index, count, static_cast<T*>(call.scratch), call.out<int32_t>(0),
                    [&](int64_t unit, int64_t k) {
                      return correlate(m, call.in<T>(0), call.in<T>(1),
                                       unit / m.c * m.weight.block + k, unit % m.c);
                    });
  }
};

void check(const std::string& op, const Attributes& a, int64_t channels, int64_t values,
           const Shape& active) {
  const auto& shape = a.integers("shape");
  const int64_t block = a.integer("block");
  require(shape.size() == 4 && shape[2] == 1 && shape[3] == 1 && shape[1] == channels, op,
          ": needs a weight (outputs, ", channels, ", 1, 1), got ", text_of(shape));
  require(block == kSparseBlock && a.integer("group") == 1 && shape[0] % block == 0, op,
          ": block is 16 and divides the outputs, without groups; got ", block, " for ",
          text_of(shape));
  const SparseShape sparse = sparse_shape(a);
  require(values % block == 0 && values > 0 && values / block <= sparse.units() &&
              active == Shape{index_bytes(sparse, values / block)},
          op, ": ", values, " values and an index of ", active, " bytes do not belong together");
}

int64_t flops(int64_t values, const Shape& map) { return 2 * map[0] * values * map[2] * map[3]; }

void gradient(GradientBuilder& g) {
  if (g.wants(1)) {
    Attributes a = g.attributes();
    a.set("values", g.input_shape(1).elements());
    g.set_diff_input(1, g.emit("sparse_conv2d_backward_weights",
                               {g.input(0), g.diff_output(), g.input(2)}, a)[0]);
  }
  if (g.wants(0)) {
    g.set_diff_input(0, g.emit("sparse_conv2d_backward_data",
                               {g.input(1), g.input(2), g.diff_output()}, g.attributes())[0]);
  }
}

OpDef backward_data() {
  OpDef def;
  def.name = "sparse_conv2d_backward_data";
  def.summary = "gradient of sparse_conv2d with respect to src";
  def.attributes = sparse_attributes(kSparseBlock);
  def.inputs = {{"values"}, {"active"}, {"diff_dst"}};
  def.outputs = {{"diff_src"}};
  def.infer = [](const OpShapes& s) {
    const Shape& d = s.inputs[2];
    return std::vector<TensorSpec>{{{d[0], s.attributes.integers("shape")[1], d[2], d[3]}}};
  };
  def.flops = [](const OpShapes& s) { return flops(s.inputs[0].elements(), s.inputs[2]); };
  def.kernels = portable_kernels<BackwardData>();
  return def;
}

OpDef backward_weights() {
  OpDef def;
  def.name = "sparse_conv2d_backward_weights";
  def.summary = "gradient of sparse_conv2d's active values";
  def.attributes = sparse_attributes(kSparseBlock);
  def.attributes.push_back({"values", int64_t{0}, "active values"});
  def.inputs = {{"src"}, {"diff_dst"}, {"active"}};
  def.outputs = {{"diff_values"}};
  def.infer = [](const OpShapes& s) {
    return std::vector<TensorSpec>{{{s.attributes.integer("values")}, ElementType::f32}};
  };
  def.flops = [](const OpShapes& s) { return flops(s.attributes.integer("values"), s.inputs[0]); };
  def.kernels = portable_kernels<BackwardWeights>();
  return def;
}

OpDef candidates() {
  OpDef def;
  def.name = "sparse_conv2d_candidates";
  def.summary = "inactive blocks of sparse_conv2d's weight with the largest gradient";
  def.attributes = changing_attributes(kSparseBlock);
  def.attributes.push_back({"values", int64_t{0}, "active values"});
  def.inputs = {{"src"}, {"diff_dst"}, {"active"}, {"counter"}, {"candidates"}};
  def.infer = [](const OpShapes&) { return std::vector<TensorSpec>{}; };
  def.updates = [](const OpShapes&) { return std::vector<size_t>{4}; };
  // As if in every step; it is in few.
  def.flops = [](const OpShapes& s) { return flops(s.attributes.integer("values"), s.inputs[0]); };
  def.scratch_scalars = [](const OpShapes& s) { return s.inputs[4].elements(); };
  def.kernels = portable_kernels<Candidates>();
  return def;
}

}  // namespace

void define_sparse_conv2d(OpTable& table) {
  OpDef def;
  def.name = "sparse_conv2d";
  def.summary = "pointwise convolution on the active blocks of a sparse weight";
  def.attributes = sparse_attributes(kSparseBlock);
  def.inputs = {{"src"}, {"values"}, {"active"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    const Shape& src = s.inputs[0];
    require(src.rank() == 4, "sparse_conv2d: src must be (N, C, H, W), got ", src);
    check("sparse_conv2d", s.attributes, src[1], s.inputs[1].elements(), s.inputs[2]);
    return std::vector<TensorSpec>{{{src[0], s.attributes.integers("shape")[0], src[2], src[3]}}};
  };
  def.gradient = gradient;
  def.saves = [](const OpShapes&) { return Saves{{0, 1, 2}, {}}; };
  def.flops = [](const OpShapes& s) { return flops(s.inputs[1].elements(), s.inputs[0]); };
  def.kernels = portable_kernels<Forward>();
  table.add(def);
  table.add(backward_data());
  table.add(backward_weights());
  table.add(candidates());
}

}  // namespace thimble
