#include "backends/onednn/convolution.h"
#include "backends/onednn/vector/vector.h"

namespace thimble::onednn {
namespace {

using DataType = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;

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
  if (!is_usable(desc.impl_info_str())) return forward_by_groups(c);
  if (!narrow) {
    given = desc.weights_desc();
  } else if (!c.layout(1).decided()) {
    given =
        backward_weights_desc(c, src.desc, weight_dims(c, c.in(1)), bias, dst).diff_weights_desc();
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

using BackwardData = dnnl::convolution_backward_data;

// Of weights that are larger than the maps of one example: this many input channels of one group
// are transposed into scratch at a time. 0: all at once, as for more examples, whose channels do
// not stand together.
int64_t channels_at_a_time(const Context& c) {
  constexpr int64_t kMostBytes = 256 << 10;
  const Shape& weights = c.in(0);
  const int64_t bytes = weights.elements() * int64_t{sizeof(float)};
  const int64_t maps = (c.in(1).elements() + c.out(0).elements()) * int64_t{sizeof(float)};
  const int64_t lanes = vector::lanes(), channels = weights[1];
  const int64_t groups = c.node.attributes.integer("groups");
  const bool in_blocks = channels % lanes == 0 && weights[0] / groups % lanes == 0;
  const bool whole =
      c.in(1)[0] > 1 || !c.formats.blocked() || c.in_type(1) != ElementType::f32 || !in_blocks;
  if (whole || bytes <= std::max(maps, kMostBytes)) return 0;
  int64_t most = lanes;
  for (int64_t n = lanes; n <= channels; n += lanes) {
    if (channels % n == 0 && bytes / groups / channels * n <= kMostBytes) most = n;
  }
  return most;
}

// The same in parts: transposed weights never lie there as a whole.
std::optional<KernelChoice> choose_backward_data_in_parts(const Context& c, int64_t channels) {
  const Desc given = weights_desc(c, c.in(0), c.layout(0));
  const Shape &src = c.out(0), &dst = c.in(1), &weights = c.in(0);
  const int64_t groups = c.node.attributes.integer("groups"), outputs = weights[0] / groups;
  const Desc diff_src = c.formats.map_desc({1, channels, src[2], src[3]});
  const Desc diff_dst = c.formats.map_desc({1, outputs, dst[2], dst[3]});
  Dims part = {outputs, channels, weights[2], weights[3]};
  if (groups > 1) part.insert(part.begin(), 1);
  const auto desc = backward_data_desc(c, diff_src, {part, DataType::f32, Tag::any}, diff_dst);
  if (!is_usable(desc.impl_info_str())) return std::nullopt;
  auto kernel = std::make_shared<PrimitiveKernel>(c.engine, c.stream);
  const Source copy = kernel->reserve(bytes_of(desc.weights_desc()));
  const BackwardData primitive(desc);
  // Of `src`, whose channels are those of all groups, one after the other.
  for (int64_t channel = 0; channel < src[1]; channel += channels) {
    const int64_t group = channel / weights[1];
    Dims begin = {0, channel % weights[1], 0, 0};
    if (groups > 1) begin.insert(begin.begin(), group);
    kernel->add_reorder(given.submemory_desc(part, begin), input(0), desc.weights_desc(), copy);
    Source from = input(1), to = output(0);
    from.offset = group * bytes_of(diff_dst);
    to.offset = channel * src[2] * src[3] * int64_t{sizeof(float)};
    kernel->add(primitive, desc.scratchpad_desc(),
                {{DNNL_ARG_WEIGHTS, desc.weights_desc(), copy},
                 {DNNL_ARG_DIFF_DST, diff_dst, from},
                 {DNNL_ARG_DIFF_SRC, diff_src, to}});
  }
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = c.layout(0);
  choice.inputs[1] = c.formats.map_layout(dst);
  choice.outputs[0] = c.formats.map_layout(src);
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.implementation = desc.impl_info_str();
  choice.kernel = std::move(kernel);
  return choice;
}

// weights, diff_dst -> diff_src. The fast kernel may want the weights' blocks transposed: they are
// then brought into scratch, which costs under 1% of a step and no lasting bytes.
std::optional<KernelChoice> choose_backward_data(const Context& c) {
  const ElementType type = c.in_type(1);
  const bool summed = c.has(kDiffAddend);
  if (summed && type != ElementType::f32) return std::nullopt;
  const Slices slices = summed ? slices_of(c.out(0)) : Slices{};
  const Desc diff_src = c.formats.map_desc(slices.part(c.out(0)), type);
  const Desc diff_dst = c.formats.map_desc(slices.part(c.in(1)), type);
  const auto desc = backward_data_desc(c, diff_src, any_weights(c, c.in(0), type), diff_dst);
  if (!is_usable(desc.impl_info_str())) return backward_data_by_groups(c);
  auto kernel = std::make_shared<PrimitiveKernel>(c.engine, c.stream);
  // Weights that are made for this node may come as it likes them, if they need no rounding.
  const bool free = !c.layout(0).decided();
  const Desc given = !free ? weights_desc(c, c.in(0), c.layout(0))
                     : type == ElementType::f32
                         ? desc.weights_desc()
                         : Layouts::plain_desc(weight_dims(c, c.in(0)), DataType::f32);
  Source weights = input(0);
  if (given != desc.weights_desc()) {
    const int64_t channels = free || summed ? 0 : channels_at_a_time(c);
    if (channels > 0) return choose_backward_data_in_parts(c, channels);
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
  const auto desc = backward_weights_desc(c, src.desc, weight_dims(c, shape), bias, diff_dst);
  if (!is_usable(desc.impl_info_str())) return backward_weights_by_groups(c);
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
