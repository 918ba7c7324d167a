#include "schedule/work.h"

#include "base/hash.h"

namespace thimble {
namespace {

// Of what a node is made of.
class WorkHash {
 public:
  void add(int64_t x) { hash_.add(&x, sizeof x); }
  void add(double x) { hash_.add(&x, sizeof x); }
  void add(const std::string& text) {
    add(static_cast<int64_t>(text.size()));
    hash_.add(text.data(), text.size());
  }
  void add(const std::vector<int64_t>& values) {
    add(static_cast<int64_t>(values.size()));
    for (int64_t v : values) add(v);
  }
  void add(const Shape& shape, ElementType type) {
    add(static_cast<int64_t>(type));
    for (int64_t dim : shape) add(dim);
    add(int64_t{-1});
  }
  uint64_t value() const { return hash_.value(); }

 private:
  Hash hash_;
};

}  // namespace

uint64_t work_of(const Graph& graph, const Node& node) {
  WorkHash hash;
  hash.add(node.op);
  for (const auto& [name, value] : node.attributes) {
    hash.add(name);
    std::visit([&](const auto& v) { hash.add(v); }, value);
  }
  for (const auto* tensors : {&node.inputs, &node.outputs}) {
    for (TensorId t : *tensors) {
      if (t == kNoTensor) {
        hash.add(int64_t{-2});
      } else {
        hash.add(graph.tensor(t).shape, graph.tensor(t).type);
      }
    }
  }
  return hash.value();
}

uint64_t work_of_reorder(const Shape& shape, ElementType type, const Layout& from,
                         const Layout& to) {
  WorkHash hash;
  hash.add(std::string("reorder"));
  hash.add(from.tag);
  hash.add(to.tag);
  hash.add(shape, type);
  return hash.value();
}

}  // namespace thimble
