#include <algorithm>

#include "backends/onednn/onednn.h"

namespace thimble::onednn {
namespace {

using dnnl::algorithm;

struct Geometry {
  Window window;
  Dims kernel;
  algorithm kind = algorithm::pooling_max;
};

// Padding that reaches as far as the last window.
int64_t reached(int64_t in, int64_t before, int64_t after, int64_t kernel, int64_t stride,
                int64_t windows) {
  return std::max(after, (windows - 1) * stride + kernel - in - before);
}

Geometry window_geometry(const Context& c, const Shape& src, const Shape& dst, algorithm kind) {
  const Attributes& a = c.node.attributes;
  const auto list = [&](const char* name) {
    const auto& v = a.integers(name);
    return Dims{v.begin(), v.end()};
  };
  const auto& pad = a.integers("padding");
  const Dims kernel = list("kernel"), stride = list("stride");
  const Dims after = {reached(src[2], pad[0], pad[2], kernel[0], stride[0], dst[2]),
                      reached(src[3], pad[1], pad[3], kernel[1], stride[1], dst[3])};
  return {{stride, {0, 0}, {pad[0], pad[1]}, after}, kernel, kind};
}

// Nothing: oneDNN would count places behind the padding that a last window reaches over.
std::optional<Geometry> average_geometry(const Context& c, const Shape& src, const Shape& dst) {
  const Attributes& a = c.node.attributes;
  const Geometry g = window_geometry(c, src, dst, algorithm::pooling_avg_exclude_padding);
  const auto& pad = a.integers("padding");
  const bool none = *std::max_element(pad.begin(), pad.end()) == 0;
  if (a.integer("count_include_pad") == 0 || none) return g;
  if (g.window.after != Dims{pad[2], pad[3]}) return std::nullopt;
  return Geometry{g.window, g.kernel, algorithm::pooling_avg_include_padding};
}

Geometry global_geometry(const Shape& image) {
  return {{{1, 1}, {0, 0}, {0, 0}, {0, 0}},
          {image[2], image[3]},
          algorithm::pooling_avg_exclude_padding};
}

Pooling::primitive_desc forward_desc(const Context& c, const Shape& src, const Shape& dst,
                                     const Geometry& g) {
  const ElementType type = c.in_type(0);
  return pooling_desc(c.engine, g.kind, c.formats.map_desc(src, type),
                      c.formats.map_desc(dst, type), g.window, g.kernel);
}

// Images of few channels would be copied into mostly empty blocks first: of three, five times their
// bytes.
bool is_thin(const Context& c) {
  const Layout map = c.formats.map_layout(c.in(0));
  return c.layout(0).tag == kPlain && map.elements > 2 * c.in(0).elements();
}

std::optional<KernelChoice> choose_forward(const Context& c, const Geometry& g) {
  if (is_thin(c)) return std::nullopt;
  const auto desc = forward_desc(c, c.in(0), c.out(0), g);
  if (!is_usable(desc.impl_info_str())) return std::nullopt;
  auto kernel = std::make_shared<PrimitiveKernel>(c.engine, c.stream);
  std::vector<PrimitiveKernel::Argument> arguments = {{DNNL_ARG_SRC, desc.src_desc(), input(0)},
                                                      {DNNL_ARG_DST, desc.dst_desc(), output(0)}};
  KernelChoice choice = plain_choice(c);
  if (g.kind == algorithm::pooling_max) {
    // oneDNN's own indices: only its backward pass reads them.
    const Desc workspace = desc.workspace_desc();
    arguments.push_back({DNNL_ARG_WORKSPACE, workspace, output(1)});
    choice.outputs[1] = {"pool_workspace", static_cast<int64_t>(workspace.get_size())};
  }
  kernel->add(dnnl::pooling_forward(desc), desc.scratchpad_desc(), std::move(arguments));
  choice.inputs[0] = c.formats.map_layout(c.in(0));
  choice.outputs[0] = c.formats.map_layout(c.out(0));
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.implementation = desc.impl_info_str();
  choice.kernel = std::move(kernel);
  return choice;
}

std::optional<KernelChoice> choose_backward(const Context& c, const Geometry& g) {
  const auto hint = forward_desc(c, c.out(0), c.in(0), g);
  const Desc diff_src = c.formats.map_desc(c.out(0), c.out_type(0));
  const Desc diff_dst = c.formats.map_desc(c.in(0), c.in_type(0));
  const auto desc =
      pooling_backward_desc(c.engine, hint, g.kind, diff_src, diff_dst, g.window, g.kernel);
  const bool max = g.kind == algorithm::pooling_max;
  // Whoever made the indices reads them.
  const bool foreign = max && c.layout(1).tag != "pool_workspace";
  if (!is_usable(desc.impl_info_str()) || foreign) return std::nullopt;
  auto kernel = std::make_shared<PrimitiveKernel>(c.engine, c.stream);
  std::vector<PrimitiveKernel::Argument> arguments = {{DNNL_ARG_DIFF_DST, diff_dst, input(0)},
                                                      {DNNL_ARG_DIFF_SRC, diff_src, output(0)}};
  KernelChoice choice = plain_choice(c);
  if (max) {
    arguments.push_back({DNNL_ARG_WORKSPACE, hint.workspace_desc(), input(1)});
    choice.inputs[1] = c.layout(1);
  }
  kernel->add(PoolingBackward(desc), desc.scratchpad_desc(), std::move(arguments));
  choice.inputs[0] = c.formats.map_layout(c.in(0));
  choice.outputs[0] = c.formats.map_layout(c.out(0));
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.implementation = desc.impl_info_str();
  choice.kernel = std::move(kernel);
  return choice;
}

}  // namespace

void define_fast_pooling(Choosers& choosers) {
  choosers["max_pool"] = [](const Context& c) {
    return choose_forward(c, window_geometry(c, c.in(0), c.out(0), algorithm::pooling_max));
  };
  choosers["max_pool_backward"] = [](const Context& c) {
    return choose_backward(c, window_geometry(c, c.out(0), c.in(0), algorithm::pooling_max));
  };
  choosers["average_pool"] = [](const Context& c) {
    const auto g = average_geometry(c, c.in(0), c.out(0));
    return g ? choose_forward(c, *g) : std::nullopt;
  };
  choosers["average_pool_backward"] = [](const Context& c) {
    const auto g = average_geometry(c, c.out(0), c.in(0));
    return g ? choose_backward(c, *g) : std::nullopt;
  };
  choosers["global_average_pool"] = [](const Context& c) {
    return choose_forward(c, global_geometry(c.in(0)));
  };
  choosers["global_average_pool_backward"] = [](const Context& c) {
    return choose_backward(c, global_geometry(c.out(0)));
  };
}

}  // namespace thimble::onednn
