#include "ops/core/builder.h"
#include "ops/core/copy.h"

// Around the update of a weight of which some channels are trained: an optimizer updates a copy of
// those alone, which is written back where they lie.
// weights (...), channels: the same with `end - begin` along `axis`.

namespace thimble {
namespace {

// Where the channels lie in the whole: rows of `length`, `stride` apart.
struct Rows {
  int64_t begin, stride, count, length;

  Rows(const Shape& weights, const Attributes& a) {
    const AxisView whole(weights, a.integer("axis"));
    begin = a.integer("begin") * whole.inner;
    stride = whole.size * whole.inner;
    count = whole.outer;
    length = (a.integer("end") - a.integer("begin")) * whole.inner;
  }
};

struct Read {
  template <class T>
  static void run(const OpCall& call) {
    const Rows rows(call.in_shape(0), call.attributes);
    copy_rows(call.in<T>(0) + rows.begin, rows.stride, call.out<T>(0), rows.length, rows.count,
              rows.length);
  }
};

struct Write {
  template <class T>
  static void run(const OpCall& call) {
    const Rows rows(call.in_shape(1), call.attributes);
    copy_rows(call.in<T>(0), rows.length, call.out<T>(0) + rows.begin, rows.stride, rows.count,
              rows.length);
  }
};

Shape channels_shape(const std::string& op, const Shape& weights, const Attributes& a) {
  const int64_t axis = a.integer("axis");
  const int64_t begin = a.integer("begin");
  const int64_t end = a.integer("end");
  require_axis(op, weights, axis);
  require(0 <= begin && begin < end && end <= weights[static_cast<int>(axis)], op, ": [", begin,
          ", ", end, ") is not a range of axis ", axis, " of ", weights);
  return with_axis_size(weights, axis, end - begin);
}

std::vector<AttributeSpec> attribute_specs() {
  return {{"axis", int64_t{1}, "the axis of the channels"},
          {"begin", int64_t{0}, "the first channel"},
          {"end", int64_t{0}, "one past the last channel"}};
}

}  // namespace

void define_write_channels(OpTable& table) {
  OpDef read;
  read.name = "read_channels";
  read.summary = "the trained channels of a weight, for their update";
  read.attributes = attribute_specs();
  read.inputs = {{"weights"}};
  read.outputs = {{"channels"}};
  read.infer = [](const OpShapes& s) {
    return std::vector<TensorSpec>{{channels_shape("read_channels", s.inputs[0], s.attributes)}};
  };
  read.follows_reader = true;
  read.flops = no_flops;
  read.kernels = portable_kernels<Read>();
  table.add(read);

  OpDef write;
  write.name = "write_channels";
  write.summary = "puts updated channels back into their weight, whose others stay";
  write.attributes = attribute_specs();
  write.inputs = {{"channels"}, {"weights"}};
  write.infer = [](const OpShapes& s) {
    const Shape channels = channels_shape("write_channels", s.inputs[1], s.attributes);
    require(s.inputs[0] == channels, "write_channels: needs channels ", channels, ", got ",
            s.inputs[0]);
    return std::vector<TensorSpec>{};
  };
  write.updates = [](const OpShapes&) { return std::vector<size_t>{1}; };
  write.flops = no_flops;
  write.kernels = portable_kernels<Write>();
  table.add(write);
}

}  // namespace thimble
