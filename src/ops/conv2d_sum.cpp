#include <algorithm>
#include <array>

#include "ops/core/op.h"

// A convolution's result added where the other term lies, an example at a time: all of it never
// exists (transforms/sum_in_place.h). The same bits as conv2d and then add or add_inverse.

namespace thimble {
namespace {

Shape with_batch(Shape shape, int64_t batch) {
  shape[0] = batch;
  return shape;
}

// Of the node: the map that the convolution reads, and the term.
struct Ports {
  size_t map, addend;
};
constexpr Ports kForward = {0, 3};
constexpr Ports kBackwardData = {1, 2};

template <class T>
void sum(const OpCall& call, const char* plain, Ports ports) {
  const PortableKernel convolve = find_op(plain).kernels.of<T>();
  const Shape example_in = with_batch(call.in_shape(ports.map), 1);
  const Shape example_out = with_batch(call.out_shape(0), 1);
  const int64_t in = example_in.elements(), out = example_out.elements();
  const T sign = T(call.attributes.real("sign"));
  std::array<TensorArg, 3> inputs = {};
  std::copy_n(call.inputs.begin(), ports.addend, inputs.begin());
  T* made = static_cast<T*>(call.scratch);
  const TensorArg output = {made, &example_out, call.outputs[0].type, out};
  for (int64_t n = 0; n < call.out_shape(0)[0]; ++n) {
    inputs[ports.map] = {const_cast<T*>(call.in<T>(ports.map)) + n * in, &example_in,
                         call.inputs[ports.map].type, in};
    convolve({call.attributes, std::span(inputs).first(ports.addend), {&output, 1}});
    const T* addend = call.in<T>(ports.addend) + n * out;
    T* dst = call.out<T>(0) + n * out;
    parallel_for(out, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dst[i] = addend[i] + sign * made[i];
    });
  }
}

struct ForwardSum {
  template <class T>
  static void run(const OpCall& call) {
    sum<T>(call, "conv2d", kForward);
  }
};

struct BackwardDataSum {
  template <class T>
  static void run(const OpCall& call) {
    sum<T>(call, "conv2d_backward_data", kBackwardData);
  }
};

OpDef summed(const OpDef& op, Ports ports, PortableKernels kernels) {
  OpDef def;
  def.name = op.name + "_sum";
  def.attributes = op.attributes;
  def.attributes.push_back({"sign", 1.0, "of what the convolution makes"});
  def.inputs = op.inputs;
  def.inputs.push_back({"addend"});
  def.outputs = op.outputs;
  const auto plain = [ports](OpShapes s) {
    s.inputs.resize(ports.addend);
    return s;
  };
  const auto made = [plain, infer = op.infer](const OpShapes& s) {
    return infer(plain(s))[0].shape;
  };
  def.infer = [name = def.name, made, ports](const OpShapes& s) {
    const Shape dst = made(s);
    require(s.shape(ports.addend) == dst, name, ": the addend must be ", dst, ", got ",
            s.shape(ports.addend));
    return std::vector<TensorSpec>{{dst}};
  };
  def.in_place = {{ports.addend, 0}};
  def.flops = [plain, made, flops = op.flops](const OpShapes& s) {
    return flops(plain(s)) + made(s).elements();
  };
  def.scratch_scalars = [made](const OpShapes& s) { return with_batch(made(s), 1).elements(); };
  def.kernels = kernels;
  return def;
}

}  // namespace

void define_conv2d_sum(OpTable& table) {
  // Ops are defined in the order of their files' names.
  const OpDef* plain = table.find("conv2d");
  ensure(plain != nullptr, "conv2d must be defined before conv2d_sum");
  OpDef forward = summed(*plain, kForward, portable_kernels<ForwardSum>());
  forward.summary = "conv2d, added to a tensor where that lies";
  table.add(forward);
  OpDef backward = summed(*table.find("conv2d_backward_data"), kBackwardData,
                          portable_kernels<BackwardDataSum>());
  backward.summary = "gradient of conv2d with respect to src, added to another gradient";
  table.add(backward);
}

}  // namespace thimble
