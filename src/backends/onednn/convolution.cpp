#include "backends/onednn/convolution.h"

namespace thimble::onednn {

using dnnl::algorithm;
using Tag = dnnl::memory::format_tag;

Window window_of(const Context& c) {
  const auto dims = [&](const char* name) {
    const auto& values = c.node.attributes.integers(name);
    return Dims{values.begin(), values.end()};
  };
  const auto& pad = c.node.attributes.integers("padding");
  Window w{dims("stride"), dims("dilation"), {pad[0], pad[1]}, {pad[2], pad[3]}};
  for (auto& d : w.dilation) d -= 1;  // oneDNN counts the gaps
  return w;
}

Desc bias_desc(int64_t channels) { return {{channels}, dnnl::memory::data_type::f32, Tag::x}; }

dnnl::convolution_forward::primitive_desc forward_desc(const Context& c, const Desc& src,
                                                       const Desc& weights, const Desc& bias,
                                                       const Desc& dst) {
  const Window w = window_of(c);
  constexpr auto kKind = dnnl::prop_kind::forward_training;
  if (bias.get_size() > 0) {
    return make_desc<dnnl::convolution_forward>(c.engine, kKind, algorithm::convolution_direct, src,
                                                weights, bias, dst, w.stride, w.dilation, w.before,
                                                w.after);
  }
  return make_desc<dnnl::convolution_forward>(c.engine, kKind, algorithm::convolution_direct, src,
                                              weights, dst, w.stride, w.dilation, w.before,
                                              w.after);
}

dnnl::convolution_backward_data::primitive_desc backward_data_desc(const Context& c,
                                                                   const Desc& diff_src,
                                                                   const Desc& weights,
                                                                   const Desc& diff_dst) {
  const Window w = window_of(c);
  const auto hint = forward_desc(c, diff_src, weights, {}, diff_dst);
  return make_backward_desc<dnnl::convolution_backward_data>(
      c.engine, hint, algorithm::convolution_direct, diff_src, weights, diff_dst, w.stride,
      w.dilation, w.before, w.after);
}

dnnl::convolution_backward_weights::primitive_desc backward_weights_desc(const Context& c,
                                                                         const Desc& src,
                                                                         const Dims& weights,
                                                                         const Desc& bias,
                                                                         const Desc& diff_dst) {
  const Window w = window_of(c);
  const Desc diff_weights = {weights, dnnl::memory::data_type::f32, Tag::any};
  const auto hint = forward_desc(c, src, {weights, src.data_type(), Tag::any}, bias, diff_dst);
  if (bias.get_size() > 0) {
    return make_backward_desc<dnnl::convolution_backward_weights>(
        c.engine, hint, algorithm::convolution_direct, src, diff_weights, bias, diff_dst, w.stride,
        w.dilation, w.before, w.after);
  }
  return make_backward_desc<dnnl::convolution_backward_weights>(
      c.engine, hint, algorithm::convolution_direct, src, diff_weights, diff_dst, w.stride,
      w.dilation, w.before, w.after);
}

}  // namespace thimble::onednn
