#include "backends/onednn/onednn.h"

#include <algorithm>

#include "backends/onednn/vector/vector.h"
#include "backends/portable/portable.h"
#include "backends/small_layout.h"
#include "backends/through_float.h"

namespace thimble {
namespace onednn {
namespace {

// oneDNN 2 counts some offsets in 32 bits, and divides by what overflowed.
bool has_huge_tensor(const Graph& graph, const Node& node) {
  const auto huge = [&](TensorId t) {
    return t != kNoTensor && graph.tensor(t).shape.elements() > INT32_MAX;
  };
  return std::any_of(node.inputs.begin(), node.inputs.end(), huge) ||
         std::any_of(node.outputs.begin(), node.outputs.end(), huge);
}

class OneDnnBackend : public Backend {
 public:
  OneDnnBackend() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    // KernelCache shares what we use; a cache behind it would keep what we have let go.
    dnnl::set_primitive_cache_capacity(0);
    define_all_fast(choosers_);
  }

  std::string name() const override { return "onednn"; }
  std::string identity() const override {
    const dnnl_version_t* v = dnnl_version();
    return str_cat("onednn ", v->major, '.', v->minor, '.', v->patch, ' ', vector::kernels().name);
  }

  void begin(const Graph& graph) override { formats_.begin(graph); }

  KernelChoice choose(const Graph& graph, const Node& node,
                      const std::vector<Layout>& layouts) override {
    if (auto choice = choose_fast(graph, node, layouts)) return std::move(*choice);
    if (!touches_bf16(graph, node)) return choose_portable(graph, node, layouts);
    return choose_through_float(
        graph, node, layouts, [this](const Graph& g, const Node& n, const std::vector<Layout>& l) {
          auto choice = choose_fast(g, n, l);
          return choice ? std::move(*choice) : choose_portable(g, n, l);
        });
  }

  KernelChoice reorder(const Shape& shape, ElementType type, const Layout& from,
                       const Layout& to) override {
    if (small_layout(from) || small_layout(to)) return reorder_small(*this, shape, from, to);
    // A grouped convolution's weights have one dimension more in oneDNN's eyes.
    Desc from_desc = formats_.desc_of(shape, type, from);
    Desc to_desc = formats_.desc_of(shape, type, to);
    if (from_desc.dims().size() > to_desc.dims().size()) {
      to_desc = Layouts::plain_desc(from_desc.dims(), data_type(type));
    } else if (to_desc.dims().size() > from_desc.dims().size()) {
      from_desc = Layouts::plain_desc(to_desc.dims(), data_type(type));
    }
    auto kernel = std::make_shared<PrimitiveKernel>(engine_, stream_);
    kernel->add_reorder(from_desc, input(0), to_desc, output(0));
    KernelChoice choice;
    choice.inputs = {from};
    choice.outputs = {to};
    choice.scratch_bytes = kernel->scratch_bytes();
    choice.implementation = "reorder";
    choice.kernel = std::move(kernel);
    return choice;
  }

 private:
  std::optional<KernelChoice> choose_fast(const Graph& graph, const Node& node,
                                          const std::vector<Layout>& layouts) {
    const auto it = choosers_.find(node.op);
    if (it == choosers_.end() || has_huge_tensor(graph, node)) return std::nullopt;
    try {
      return it->second({engine_, stream_, formats_, graph, node, layouts});
    } catch (const dnnl::error& e) {
      // It has bf16 kernels for some processors only.
      if (e.status != dnnl_unimplemented || !touches_bf16(graph, node)) throw;
      return std::nullopt;
    }
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  Layouts formats_;
  Choosers choosers_;
};

}  // namespace

bool is_usable(const char* implementation) {
  const std::string name = implementation;
  return name.find("ref") == std::string::npos && name.find("gemm") == std::string::npos;
}

KernelChoice plain_choice(const Context& c) {
  KernelChoice choice;
  const auto plain = [&](const std::vector<TensorId>& ids, std::vector<Layout>& layouts) {
    for (TensorId t : ids) {
      layouts.push_back(t == kNoTensor ? Layout{} : plain_layout(c.graph.tensor(t).shape));
    }
  };
  plain(c.node.inputs, choice.inputs);
  plain(c.node.outputs, choice.outputs);
  plain(c.node.updates, choice.outputs);
  return choice;
}

}  // namespace onednn

std::unique_ptr<Backend> make_onednn_backend();
std::unique_ptr<Backend> make_onednn_backend() { return std::make_unique<onednn::OneDnnBackend>(); }

}  // namespace thimble
