#include "backends/kernel_cache.h"

#include <type_traits>

namespace thimble {
namespace {

// Appends the bytes of a number, or the length and the bytes of a text. Printed keys would be most
// of the time that a plan with thousands of nodes takes.
template <class T>
void append(std::string& key, const T& value) {
  if constexpr (std::is_arithmetic_v<T>) {
    const char* bytes = reinterpret_cast<const char*>(&value);
    key.append(bytes, sizeof value);
  } else {
    append(key, value.size());
    if constexpr (std::is_same_v<T, std::string>) {
      key += value;
    } else {
      for (const auto& item : value) append(key, item);
    }
  }
}

// All that a choice may depend on.
std::string key_of(const Graph& graph, const Node& node, const std::vector<Layout>& layouts) {
  std::string key;
  key.reserve(512);
  append(key, node.op);
  for (const auto& [name, value] : node.attributes) {
    append(key, name);
    append(key, value.index());
    std::visit([&](const auto& v) { append(key, v); }, value);
  }
  for (const auto* tensors : {&node.inputs, &node.outputs, &node.updates}) {
    append(key, tensors->size());
    for (TensorId t : *tensors) {
      append(key, t == kNoTensor);
      if (t == kNoTensor) continue;
      const Layout& layout = layouts[static_cast<size_t>(t)];
      const Tensor& tensor = graph.tensor(t);
      append(key, static_cast<int>(tensor.type));
      append(key, tensor.shape.rank());
      for (int64_t size : tensor.shape) append(key, size);
      append(key, layout.tag);
      append(key, layout.elements);
    }
  }
  return key;
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
