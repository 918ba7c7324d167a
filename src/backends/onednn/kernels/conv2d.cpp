#include "backends/onednn/onednn.h"

namespace thimble::onednn {
namespace {

using dnnl::algorithm;
using dnnl::prop_kind;
using DataType = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;

Dims dims_attribute(const Context& c, const char* name) {
  const auto& values = c.node.attributes.integers(name);
  return {values.begin(), values.end()};
}

Window window_of(const Context& c) {
  const auto& pad = c.node.attributes.integers("padding");
  Window w{dims_attribute(c, "stride"),
           dims_attribute(c, "dilation"),
           {pad[0], pad[1]},
           {pad[2], pad[3]}};
  for (auto& d : w.dilation) d -= 1;  // oneDNN counts the gaps
  return w;
}

// (O, C/G, R, S), with the groups split off when there are several.
Dims weight_dims(const Context& c, const Shape& weights) {
  const int64_t groups = c.node.attributes.integer("groups");
  if (groups == 1) return dims_of(weights);
  return {groups, weights[0] / groups, weights[1], weights[2], weights[3]};
}

Desc any_weights(const Context& c, const Shape& weights, ElementType type) {
  return {weight_dims(c, weights), data_type(type), Tag::any};
}

// Made by a node that knows plain layouts (standardised): brought into the kernel's own.
bool is_made_plain(const Context& c, size_t weights) {
  return c.layout(weights).tag == kPlain &&
         c.graph.tensor(c.node.inputs[weights]).role == Role::activation;
}

// The decided descriptor of the weights in memory, which are f32, or any.
Desc weights_desc(const Context& c, const Shape& shape, const Layout& layout) {
  if (!layout.decided()) return any_weights(c, shape, ElementType::f32);
  if (layout.tag == kPlain) return Layouts::plain_desc(weight_dims(c, shape), DataType::f32);
  return c.formats.desc_of(shape, ElementType::f32, layout);
}

Desc bias_desc(int64_t channels) { return {{channels}, DataType::f32, Tag::x}; }

// Images with a few channels are read plain by the first convolution's own kernel.
bool reads_plain(const Context& c, const Shape& src, const Layout& current) {
  return c.formats.blocked() && src[1] <= 4 && current.tag == kPlain &&
         c.node.attributes.integer("groups") == 1;
}

// Of conv2d_sum and conv2d_backward_data_sum (ops/conv2d_sum.cpp).
constexpr size_t kAddend = 3;
constexpr size_t kDiffAddend = 2;

// Equal parts of a batch that are made one after the other. Small enough that a part is still in
// the cache when it is added.
struct Slices {
  int64_t count = 1;
  Shape part(Shape shape) const {
    shape[0] /= count;
    return shape;
  }
};

Slices slices_of(const Shape& made) {
  constexpr int64_t kPartBytes = 512 << 10;
  const int64_t example = made.elements() / made[0] * int64_t{sizeof(float)};
  int64_t count = 1;
  while (count < made[0] && (made[0] % count != 0 || made[0] / count * example > kPartBytes)) {
    ++count;
  }
  return {count};
}

int64_t bytes_of(const Desc& desc) { return static_cast<int64_t>(desc.get_size()); }

PrimitiveKernel::Sum sum_of(const Context& c, Slices slices, int moving, Source made,
                            size_t addend) {
  return {slices.count,  {moving},  made,
          input(addend), output(0), static_cast<float>(c.node.attributes.real("sign"))};
}

struct Map {
  Layout layout;
  Desc desc;
};

// `shape`: of src, or of a part of it.
Map src_map(const Context& c, const Shape& shape) {
  if (reads_plain(c, shape, c.layout(0))) {
    return {c.layout(0), {dims_of(shape), data_type(c.in_type(0)), Tag::nchw}};
  }
  return {c.formats.map_layout(c.in(0)), c.formats.map_desc(shape, c.in_type(0))};
}

dnnl::convolution_forward::primitive_desc forward_desc(const Context& c, const Desc& src,
                                                       const Desc& weights, const Desc& bias,
                                                       const Desc& dst) {
  const Window w = window_of(c);
  const bool has_bias = bias.get_size() > 0;
  if (has_bias) {
    return make_desc<dnnl::convolution_forward>(c.engine, prop_kind::forward_training,
                                                algorithm::convolution_direct, src, weights, bias,
                                                dst, w.stride, w.dilation, w.before, w.after);
  }
  return make_desc<dnnl::convolution_forward>(c.engine, prop_kind::forward_training,
                                              algorithm::convolution_direct, src, weights, dst,
                                              w.stride, w.dilation, w.before, w.after);
}

// Without a bias when `bias` is empty.
dnnl::convolution_backward_weights::primitive_desc backward_weights_desc(const Context& c,
                                                                         const Desc& src,
                                                                         const Shape& weights,
                                                                         const Desc& bias,
                                                                         const Desc& diff_dst) {
  const Window w = window_of(c);
  const Desc diff_weights = any_weights(c, weights, ElementType::f32);
  const auto type = src.data_type() == DataType::bf16 ? ElementType::bf16 : ElementType::f32;
  const auto hint = forward_desc(c, src, any_weights(c, weights, type), bias, diff_dst);
  if (bias.get_size() > 0) {
    return make_backward_desc<dnnl::convolution_backward_weights>(
        c.engine, hint, algorithm::convolution_direct, src, diff_weights, bias, diff_dst, w.stride,
        w.dilation, w.before, w.after);
  }
  return make_backward_desc<dnnl::convolution_backward_weights>(
      c.engine, hint, algorithm::convolution_direct, src, diff_weights, diff_dst, w.stride,
      w.dilation, w.before, w.after);
}

// bf16 activations meet weights that are f32 from step to step: the kernel rounds them into scratch
// each time. In memory they lie as their gradient is made, so that the update moves nothing.
std::optional<KernelChoice> choose_forward(const Context& c) {
  const Slices slices = c.has(kAddend) ? slices_of(c.out(0)) : Slices{};
  const Map src = src_map(c, slices.part(c.in(0)));
  const ElementType type = c.in_type(0);
  const bool narrow = type == ElementType::bf16;
  if (narrow && c.has(kAddend)) return std::nullopt;
  const Desc bias = c.has(2) ? bias_desc(c.in(2)[0]) : Desc{};
  const Desc dst = c.formats.map_desc(slices.part(c.out(0)), type);
  const bool free = !narrow && is_made_plain(c, 1);
  Desc given = weights_desc(c, c.in(1), free ? Layout{} : c.layout(1));
  const auto desc =
      forward_desc(c, src.desc, narrow ? any_weights(c, c.in(1), type) : given, bias, dst);
  if (!is_usable(desc.impl_info_str())) return std::nullopt;
  if (!narrow) {
    given = desc.weights_desc();
  } else if (!c.layout(1).decided()) {
    given = backward_weights_desc(c, src.desc, c.in(1), bias, dst).diff_weights_desc();
  }
  auto kernel = std::make_shared<PrimitiveKernel>(c.engine, c.stream);
  Source weights = input(1);
  if (narrow) weights = kernel->add_reorder(given, input(1), desc.weights_desc());
  const Source made = c.has(kAddend) ? kernel->reserve(bytes_of(dst)) : output(0);
  std::vector<PrimitiveKernel::Argument> arguments = {
      {DNNL_ARG_SRC, src.desc, input(0)},
      {DNNL_ARG_WEIGHTS, desc.weights_desc(), weights},
      {DNNL_ARG_DST, desc.dst_desc(), made}};
  if (c.has(2)) arguments.push_back({DNNL_ARG_BIAS, bias, input(2)});
  KernelChoice choice = plain_choice(c);
  if (c.has(kAddend)) {
    kernel->add_sum(dnnl::convolution_forward(desc), desc.scratchpad_desc(), std::move(arguments),
                    sum_of(c, slices, DNNL_ARG_SRC, made, kAddend));
    choice.inputs[kAddend] = c.formats.map_layout(c.out(0));
  } else {
    kernel->add(dnnl::convolution_forward(desc), desc.scratchpad_desc(), std::move(arguments));
  }
  choice.inputs[0] = src.layout;
  choice.inputs[1] = c.formats.remember(c.in(1), ElementType::f32, given);
  choice.outputs[0] = c.formats.map_layout(c.out(0));
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.implementation = desc.impl_info_str();
  choice.kernel = std::move(kernel);
  return choice;
}

// weights, diff_dst -> diff_src. The fast kernel may want the weights' blocks transposed: they are
// then brought into scratch, which costs under 1% of a step and no lasting bytes.
std::optional<KernelChoice> choose_backward_data(const Context& c) {
  const Window w = window_of(c);
  const ElementType type = c.in_type(1);
  const bool summed = c.has(kDiffAddend);
  if (summed && type != ElementType::f32) return std::nullopt;
  const Slices slices = summed ? slices_of(c.out(0)) : Slices{};
  const Desc diff_src = c.formats.map_desc(slices.part(c.out(0)), type);
  const Desc diff_dst = c.formats.map_desc(slices.part(c.in(1)), type);
  const Desc any = any_weights(c, c.in(0), type);
  const auto hint = forward_desc(c, diff_src, any, {}, diff_dst);
  const auto desc = make_backward_desc<dnnl::convolution_backward_data>(
      c.engine, hint, algorithm::convolution_direct, diff_src, any, diff_dst, w.stride, w.dilation,
      w.before, w.after);
  if (!is_usable(desc.impl_info_str())) return std::nullopt;
  auto kernel = std::make_shared<PrimitiveKernel>(c.engine, c.stream);
  // Weights that are made for this node may come as it likes them, if they need no rounding.
  const bool free = !c.layout(0).decided();
  const Desc given = !free ? weights_desc(c, c.in(0), c.layout(0))
                     : type == ElementType::f32
                         ? desc.weights_desc()
                         : Layouts::plain_desc(weight_dims(c, c.in(0)), DataType::f32);
  Source weights = input(0);
  if (given != desc.weights_desc()) {
    weights = kernel->add_reorder(given, input(0), desc.weights_desc());
  }
  const Source made = summed ? kernel->reserve(bytes_of(diff_src)) : output(0);
  std::vector<PrimitiveKernel::Argument> arguments = {
      {DNNL_ARG_WEIGHTS, desc.weights_desc(), weights},
      {DNNL_ARG_DIFF_DST, diff_dst, input(1)},
      {DNNL_ARG_DIFF_SRC, diff_src, made}};
  KernelChoice choice = plain_choice(c);
  if (summed) {
    kernel->add_sum(dnnl::convolution_backward_data(desc), desc.scratchpad_desc(),
                    std::move(arguments), sum_of(c, slices, DNNL_ARG_DIFF_DST, made, kDiffAddend));
    choice.inputs[kDiffAddend] = c.formats.map_layout(c.out(0));
  } else {
    kernel->add(dnnl::convolution_backward_data(desc), desc.scratchpad_desc(),
                std::move(arguments));
  }
  if (!free) choice.inputs[0] = c.layout(0);
  if (free && type == ElementType::f32) {
    choice.inputs[0] = c.formats.remember(c.in(0), ElementType::f32, given);
  }
  choice.inputs[1] = c.formats.map_layout(c.in(1));
  choice.outputs[0] = c.formats.map_layout(c.out(0));
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.implementation = desc.impl_info_str();
  choice.kernel = std::move(kernel);
  return choice;
}

// src, diff_dst -> diff_weights, diff_bias.
std::optional<KernelChoice> choose_backward_weights(const Context& c) {
  const Map src = src_map(c, c.in(0));
  const Desc diff_dst = c.formats.map_desc(c.in(1), c.in_type(1));
  const Shape& shape = c.out(0);
  const Layout layout = c.wish(0);
  const Desc bias = c.makes(1) ? bias_desc(shape[0]) : Desc{};
  const auto desc = backward_weights_desc(c, src.desc, shape, bias, diff_dst);
  if (!is_usable(desc.impl_info_str())) return std::nullopt;
  auto kernel = std::make_shared<PrimitiveKernel>(c.engine, c.stream);
  const Desc made = desc.diff_weights_desc();
  const Desc wanted = layout.decided() ? weights_desc(c, shape, layout) : made;
  const Source place =
      made == wanted ? output(0) : kernel->reserve(static_cast<int64_t>(made.get_size()));
  std::vector<PrimitiveKernel::Argument> arguments = {{DNNL_ARG_SRC, src.desc, input(0)},
                                                      {DNNL_ARG_DIFF_DST, diff_dst, input(1)},
                                                      {DNNL_ARG_DIFF_WEIGHTS, made, place}};
  if (c.makes(1)) arguments.push_back({DNNL_ARG_DIFF_BIAS, bias, output(1)});
  kernel->add(dnnl::convolution_backward_weights(desc), desc.scratchpad_desc(),
              std::move(arguments));
  if (made != wanted) kernel->add_reorder(made, place, wanted, output(0));
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = src.layout;
  choice.inputs[1] = c.formats.map_layout(c.in(1));
  choice.outputs[0] = c.formats.remember(shape, ElementType::f32, wanted);
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.implementation = desc.impl_info_str();
  choice.kernel = std::move(kernel);
  return choice;
}

}  // namespace

void define_fast_conv2d(Choosers& choosers) {
  choosers["conv2d"] = choose_forward;
  choosers["conv2d_sum"] = choose_forward;
  choosers["conv2d_backward_data"] = choose_backward_data;
  choosers["conv2d_backward_data_sum"] = choose_backward_data;
  choosers["conv2d_backward_weights"] = choose_backward_weights;
}

}  // namespace thimble::onednn
