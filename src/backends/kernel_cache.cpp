#include "backends/kernel_cache.h"

#include <sstream>

namespace thimble {
namespace {

// All that a choice may depend on.
std::string key_of(const Graph& graph, const Node& node, const std::vector<Layout>& layouts) {
  std::ostringstream key;
  key.precision(17);
  key << node.op;
  for (const auto& [name, value] : node.attributes) key << ' ' << name << '=' << value;
  for (const auto* tensors : {&node.inputs, &node.outputs, &node.updates}) {
    key << " |";
    for (TensorId t : *tensors) {
      if (t == kNoTensor) {
        key << " -";
        continue;
      }
      const Layout& layout = layouts[static_cast<size_t>(t)];
      key << ' ' << name_of(graph.tensor(t).type) << graph.tensor(t).shape << layout.tag << ':'
          << layout.elements;
    }
  }
  return key.str();
}

}  // namespace

void KernelCache::begin(const Graph& graph) {
  if (begun_) return;
  backend_->begin(graph);
  begun_ = true;
}

KernelChoice KernelCache::choose(const Graph& graph, const Node& node,
                                 const std::vector<Layout>& layouts) {
  const auto [it, fresh] = choices_.try_emplace(key_of(graph, node, layouts));
  if (fresh) it->second = backend_->choose(graph, node, layouts);
  return it->second;
}

KernelChoice KernelCache::reorder(const Shape& shape, ElementType type, const Layout& from,
                                  const Layout& to) {
  const auto [it, fresh] =
      choices_.try_emplace(str_cat("reorder ", name_of(type), shape, ' ', from.tag, ' ',
                                   from.elements, ' ', to.tag, ' ', to.elements));
  if (fresh) it->second = backend_->reorder(shape, type, from, to);
  return it->second;
}

}  // namespace thimble
