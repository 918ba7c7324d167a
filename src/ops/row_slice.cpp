#include <algorithm>

#include "ops/core/copy.h"
#include "ops/core/gradient.h"

// Bands of rows of images: cutting one out, and adding one to a map that grows band by band. Each
// is the gradient of the other.
// whole (N, C, H, W), rows (N, C, R, W): rows [begin, begin + R) of it.

namespace thimble {
namespace {

struct RowSlice {
  template <class T>
  static void run(const OpCall& call) {
    const AxisView whole(call.in_shape(0), 2);
    const AxisView rows(call.out_shape(0), 2);
    copy_rows(call.in<T>(0) + call.attributes.integer("begin") * whole.inner,
              whole.size * whole.inner, call.out<T>(0), rows.size * rows.inner, rows.outer,
              rows.size * rows.inner);
  }
};

struct AddRows {
  template <class T>
  static void run(const OpCall& call) {
    const AxisView whole(call.out_shape(0), 2);
    const AxisView rows(call.in_shape(1), 2);
    const int64_t plane = whole.size * whole.inner;
    const int64_t band = rows.size * rows.inner;
    const int64_t begin = call.attributes.integer("begin") * whole.inner;
    const T* sum = call.in<T>(0);
    const T* src = call.in<T>(1);
    T* dst = call.out<T>(0);
    parallel_for(whole.outer, grain_of(plane), [&](int64_t first, int64_t last) {
      for (int64_t o = first; o < last; ++o) {
        T* out = dst + o * plane;
        if (sum == nullptr) {
          std::fill(out, out + plane, T(0));
        } else if (sum != dst) {
          std::copy(sum + o * plane, sum + (o + 1) * plane, out);
        }
        for (int64_t i = 0; i < band; ++i) out[begin + i] += src[o * band + i];
      }
    });
  }
};

std::vector<TensorSpec> infer_slice(const OpShapes& s) {
  const int64_t begin = s.attributes.integer("begin");
  const int64_t rows = s.attributes.integer("rows");
  const Shape& src = s.inputs[0];
  require(src.rank() == 4, "row_slice: src must be (N, C, H, W), got ", src);
  require(begin >= 0 && rows > 0 && begin + rows <= src[2], "row_slice: rows [", begin, ", ",
          begin + rows, ") are not a range of the ", src[2], " rows of ", src);
  return {{with_axis_size(src, 2, rows)}};
}

std::vector<TensorSpec> infer_add(const OpShapes& s) {
  const int64_t begin = s.attributes.integer("begin");
  const int64_t height = s.attributes.integer("height");
  const Shape& rows = s.inputs[1];
  require(rows.rank() == 4, "add_rows: rows must be (N, C, R, W), got ", rows);
  require(begin >= 0 && begin + rows[2] <= height, "add_rows: rows [", begin, ", ", begin + rows[2],
          ") are not a range of ", height, " rows");
  const Shape whole = with_axis_size(rows, 2, height);
  require(!s.has(0) || s.inputs[0] == whole, "add_rows: the sum of ", rows, " in ", height,
          " rows must be ", whole, ", got ", s.shape(0));
  return {{whole}};
}

}  // namespace

void define_row_slice(OpTable& table) {
  OpDef slice;
  slice.name = "row_slice";
  slice.summary = "a band of an image's rows";
  slice.attributes = {{"begin", int64_t{0}, "the first row"}, {"rows", int64_t{0}, "how many"}};
  slice.inputs = {{"src"}};
  slice.outputs = {{"dst"}};
  slice.infer = infer_slice;
  slice.gradient = [](GradientBuilder& g) {
    // One map for the gradients of all bands: each adds its rows to what the others made.
    g.set_diff_input(0, g.emit("add_rows", {g.take_diff_input(0), g.diff_output()},
                               {{"begin", g.attributes().integer("begin")},
                                {"height", g.input_shape(0)[2]}})[0]);
  };
  slice.flops = no_flops;
  slice.kernels = portable_kernels<RowSlice>();
  table.add(slice);

  OpDef add;
  add.name = "add_rows";
  add.summary = "adds a band of rows to an image, or to zeros";
  add.attributes = {{"begin", int64_t{0}, "the first row"}, {"height", int64_t{0}, "of dst"}};
  add.inputs = {{"sum", true}, {"rows"}};
  add.outputs = {{"dst"}};
  add.infer = infer_add;
  add.gradient = [](GradientBuilder& g) {
    if (g.has_input(0) && g.wants(0)) g.set_diff_input(0, g.diff_output());
    if (!g.wants(1)) return;
    const int64_t rows = g.input_shape(1)[2];
    const Attributes range = {{"begin", g.attributes().integer("begin")}, {"rows", rows}};
    g.set_diff_input(1, g.emit("row_slice", {g.diff_output()}, range)[0]);
  };
  add.in_place = {{0, 0}};
  add.flops = [](const OpShapes& s) { return s.inputs[1].elements(); };
  add.kernels = portable_kernels<AddRows>();
  table.add(add);
}

}  // namespace thimble
