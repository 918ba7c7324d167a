#include "backends/onednn/onednn.h"

// oneDNN's linear resampling has its pixels' middles where ours are.

namespace thimble::onednn {
namespace {

constexpr auto kLinear = dnnl::algorithm::resampling_linear;

std::optional<KernelChoice> choice_of(const Context& c, const dnnl::primitive& primitive,
                                      const Desc& scratchpad, const char* implementation,
                                      std::vector<PrimitiveKernel::Argument> arguments) {
  if (!is_usable(implementation)) return std::nullopt;
  auto kernel = std::make_shared<PrimitiveKernel>(c.engine, c.stream);
  kernel->add(primitive, scratchpad, std::move(arguments));
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = c.formats.map_layout(c.in(0));
  choice.outputs[0] = c.formats.map_layout(c.out(0));
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.implementation = implementation;
  choice.kernel = std::move(kernel);
  return choice;
}

dnnl::resampling_forward::primitive_desc forward_desc(const Context& c, const Desc& src,
                                                      const Desc& dst) {
  return make_desc<dnnl::resampling_forward>(c.engine, dnnl::prop_kind::forward_training, kLinear,
                                             src, dst);
}

std::optional<KernelChoice> choose_forward(const Context& c) {
  const auto desc = forward_desc(c, c.formats.map_desc(c.in(0), c.in_type(0)),
                                 c.formats.map_desc(c.out(0), c.out_type(0)));
  return choice_of(
      c, dnnl::resampling_forward(desc), desc.scratchpad_desc(), desc.impl_info_str(),
      {{DNNL_ARG_SRC, desc.src_desc(), input(0)}, {DNNL_ARG_DST, desc.dst_desc(), output(0)}});
}

std::optional<KernelChoice> choose_backward(const Context& c) {
  const Desc diff_src = c.formats.map_desc(c.out(0), c.out_type(0));
  const Desc diff_dst = c.formats.map_desc(c.in(0), c.in_type(0));
  const auto hint = forward_desc(c, diff_src, diff_dst);
  const auto desc =
      make_backward_desc<dnnl::resampling_backward>(c.engine, hint, kLinear, diff_src, diff_dst);
  return choice_of(
      c, dnnl::resampling_backward(desc), desc.scratchpad_desc(), desc.impl_info_str(),
      {{DNNL_ARG_DIFF_DST, diff_dst, input(0)}, {DNNL_ARG_DIFF_SRC, diff_src, output(0)}});
}

}  // namespace

void define_fast_upsample_bilinear(Choosers& choosers) {
  choosers["upsample_bilinear"] = choose_forward;
  choosers["upsample_bilinear_backward"] = choose_backward;
}

}  // namespace thimble::onednn
