#pragma once

#include "backends/backend.h"

namespace thimble {

// The op's own kernel, in float: on plain layouts, or on any one layout when it is elementwise. The
// node has no bf16 numbers.
KernelChoice choose_portable(const Graph& graph, const Node& node,
                             const std::vector<Layout>& layouts);

// Correct everywhere and without dependencies; the oracle of the other backends.
class PortableBackend : public Backend {
 public:
  std::string name() const override { return "portable"; }
  std::string identity() const override { return "portable"; }
  void begin(const Graph&) override {}
  KernelChoice choose(const Graph& graph, const Node& node,
                      const std::vector<Layout>& layouts) override;
  KernelChoice reorder(const Shape& shape, ElementType type, const Layout& from,
                       const Layout& to) override;
};

}  // namespace thimble
