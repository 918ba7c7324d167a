#pragma once

#include <map>

#include "backends/backend.h"

namespace thimble {

// A backend that makes each kernel once: nodes of the same op, attributes, shapes and layouts share
// it, in one schedule and between schedules. The first graph decides the backend's layouts; the
// others are variants of it.
class KernelCache : public Backend {
 public:
  explicit KernelCache(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}

  std::string name() const override { return backend_->name(); }
  std::string identity() const override { return backend_->identity(); }
  void begin(const Graph& graph) override;
  KernelChoice choose(const Graph& graph, const Node& node,
                      const std::vector<Layout>& layouts) override;
  KernelChoice reorder(const Shape& shape, ElementType type, const Layout& from,
                       const Layout& to) override;

 private:
  std::unique_ptr<Backend> backend_;
  bool begun_ = false;
  std::map<std::string, KernelChoice> choices_;
};

}  // namespace thimble
