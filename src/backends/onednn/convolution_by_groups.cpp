#include "backends/onednn/convolution.h"
#include "backends/onednn/vector/vector.h"

namespace thimble::onednn {
namespace {

using DataType = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;

// A map of which each group has its share of the channels.
struct Map {
  Shape whole;
  Source source;
  Desc part;         // of one group, in the graph's format
  Source copy = {};  // of one group, in scratch
};

// Weights, or their gradient, of (O, C/G, R, S): each group's stand together.
struct Weights {
  Shape whole;
  Source source;
  Desc part;  // as the primitive wants it
  Source copy = {};
};

class ByGroups {
 public:
  explicit ByGroups(const Context& c)
      : c_(c),
        groups_(c.node.attributes.integer("groups")),
        kernel_(std::make_shared<PrimitiveKernel>(c.engine, c.stream)) {}

  static bool serves(const Context& c, const Shape& weights, ElementType type, bool sum) {
    const int64_t groups = c.node.attributes.integer("groups");
    const bool depthwise = weights[1] == 1;
    return groups > 1 && !depthwise && type == ElementType::f32 && !sum;
  }

  int64_t groups() const { return groups_; }
  PrimitiveKernel& kernel() { return *kernel_; }

  Map map(const Shape& whole, Source source) {
    return reserved({whole, source, c_.formats.map_desc(part_of(whole))});
  }
  // Of few channels: plain, as the kernels for a first convolution read them.
  Map read_map(const Shape& whole, Source source) {
    const Shape part = part_of(whole);
    if (part[1] >= vector::lanes()) return map(whole, source);
    return reserved({whole, source, Layouts::plain_desc(dims_of(part), DataType::f32)});
  }
  Weights weights(const Shape& whole, Source source, const Desc& part) {
    return {whole, source, part, kernel_->reserve(bytes_of(part))};
  }
  Dims weight_dims(const Shape& whole) const {
    return {whole[0] / groups_, whole[1], whole[2], whole[3]};
  }

  void bring(const Map& m, int64_t g) {
    kernel_->add_reorder(slice(m.whole, g), m.source, m.part, m.copy);
  }
  void take(const Map& m, int64_t g) {
    kernel_->add_reorder(m.part, m.copy, slice(m.whole, g), m.source);
  }
  void bring(const Weights& w, int64_t g) {
    kernel_->add_reorder(plain(w), at(w, g), w.part, w.copy);
  }
  void take(const Weights& w, int64_t g) {
    kernel_->add_reorder(w.part, w.copy, plain(w), at(w, g));
  }
  // Of one value for each output channel.
  Source bias(Source whole, int64_t channels, int64_t g) const {
    whole.offset = g * channels / groups_ * int64_t{sizeof(float)};
    return whole;
  }

  KernelChoice choice(const char* implementation) {
    KernelChoice choice = plain_choice(c_);
    choice.scratch_bytes = kernel_->scratch_bytes();
    choice.implementation = str_cat(implementation, " by groups");
    choice.kernel = std::move(kernel_);
    return choice;
  }

 private:
  Shape part_of(const Shape& map) const { return {map[0], map[1] / groups_, map[2], map[3]}; }
  Map reserved(Map m) {
    m.copy = kernel_->reserve(bytes_of(m.part));
    return m;
  }
  Desc slice(const Shape& map, int64_t g) const {
    Dims dims = dims_of(map);
    dims[1] /= groups_;
    return Layouts::plain_desc(dims_of(map), DataType::f32)
        .submemory_desc(dims, {0, g * dims[1], 0, 0});
  }
  Desc plain(const Weights& w) const {
    return Layouts::plain_desc(weight_dims(w.whole), DataType::f32);
  }
  Source at(const Weights& w, int64_t g) const {
    Source source = w.source;
    source.offset = g * bytes_of(plain(w));
    return source;
  }

  const Context& c_;
  int64_t groups_;
  std::shared_ptr<PrimitiveKernel> kernel_;
};

}  // namespace

std::optional<KernelChoice> forward_by_groups(const Context& c) {
  if (!ByGroups::serves(c, c.in(1), c.in_type(0), c.has(3))) return std::nullopt;
  ByGroups by(c);
  const Map src = by.read_map(c.in(0), input(0)), dst = by.map(c.out(0), output(0));
  const int64_t channels = c.out(0)[1];
  const Desc bias = c.has(2) ? bias_desc(channels / by.groups()) : Desc{};
  const auto desc =
      forward_desc(c, src.part, {by.weight_dims(c.in(1)), DataType::f32, Tag::any}, bias, dst.part);
  if (!is_usable(desc.impl_info_str())) return std::nullopt;
  const Weights weights = by.weights(c.in(1), input(1), desc.weights_desc());
  for (int64_t g = 0; g < by.groups(); ++g) {
    by.bring(src, g);
    by.bring(weights, g);
    std::vector<PrimitiveKernel::Argument> arguments = {
        {DNNL_ARG_SRC, src.part, src.copy},
        {DNNL_ARG_WEIGHTS, weights.part, weights.copy},
        {DNNL_ARG_DST, dst.part, dst.copy}};
    if (c.has(2)) arguments.push_back({DNNL_ARG_BIAS, bias, by.bias(input(2), channels, g)});
    by.kernel().add(dnnl::convolution_forward(desc), desc.scratchpad_desc(), std::move(arguments));
    by.take(dst, g);
  }
  return by.choice(desc.impl_info_str());
}

std::optional<KernelChoice> backward_data_by_groups(const Context& c) {
  if (!ByGroups::serves(c, c.in(0), c.in_type(1), c.has(2))) return std::nullopt;
  ByGroups by(c);
  const Map diff_src = by.map(c.out(0), output(0)), diff_dst = by.map(c.in(1), input(1));
  const auto desc = backward_data_desc(
      c, diff_src.part, {by.weight_dims(c.in(0)), DataType::f32, Tag::any}, diff_dst.part);
  if (!is_usable(desc.impl_info_str())) return std::nullopt;
  const Weights weights = by.weights(c.in(0), input(0), desc.weights_desc());
  for (int64_t g = 0; g < by.groups(); ++g) {
    by.bring(diff_dst, g);
    by.bring(weights, g);
    by.kernel().add(dnnl::convolution_backward_data(desc), desc.scratchpad_desc(),
                    {{DNNL_ARG_WEIGHTS, weights.part, weights.copy},
                     {DNNL_ARG_DIFF_DST, diff_dst.part, diff_dst.copy},
                     {DNNL_ARG_DIFF_SRC, diff_src.part, diff_src.copy}});
    by.take(diff_src, g);
  }
  return by.choice(desc.impl_info_str());
}

std::optional<KernelChoice> backward_weights_by_groups(const Context& c) {
  if (!ByGroups::serves(c, c.out(0), c.in_type(0), false)) return std::nullopt;
  ByGroups by(c);
  const Map src = by.read_map(c.in(0), input(0)), diff_dst = by.map(c.in(1), input(1));
  const int64_t channels = c.in(1)[1];
  const Desc bias = c.makes(1) ? bias_desc(channels / by.groups()) : Desc{};
  const auto desc =
      backward_weights_desc(c, src.part, by.weight_dims(c.out(0)), bias, diff_dst.part);
  if (!is_usable(desc.impl_info_str())) return std::nullopt;
  const Weights weights = by.weights(c.out(0), output(0), desc.diff_weights_desc());
  for (int64_t g = 0; g < by.groups(); ++g) {
    by.bring(src, g);
    by.bring(diff_dst, g);
    std::vector<PrimitiveKernel::Argument> arguments = {
        {DNNL_ARG_SRC, src.part, src.copy},
        {DNNL_ARG_DIFF_DST, diff_dst.part, diff_dst.copy},
        {DNNL_ARG_DIFF_WEIGHTS, weights.part, weights.copy}};
    if (c.makes(1))
      arguments.push_back({DNNL_ARG_DIFF_BIAS, bias, by.bias(output(1), channels, g)});
    by.kernel().add(dnnl::convolution_backward_weights(desc), desc.scratchpad_desc(),
                    std::move(arguments));
    by.take(weights, g);
  }
  return by.choice(desc.impl_info_str());
}

}  // namespace thimble::onednn
