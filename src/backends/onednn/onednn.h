#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "backends/onednn/api.h"
#include "backends/onednn/layouts.h"
#include "backends/onednn/primitive.h"

namespace thimble::onednn {

// What a fast kernel's chooser sees.
struct Context {
  const dnnl::engine& engine;
  const dnnl::stream& stream;
  Layouts& formats;
  const Graph& graph;
  const Node& node;
  const std::vector<Layout>& layouts;

  bool has(size_t i) const { return i < node.inputs.size() && node.inputs[i] != kNoTensor; }
  bool makes(size_t i) const { return i < node.outputs.size() && node.outputs[i] != kNoTensor; }
  const Shape& in(size_t i) const { return graph.tensor(node.inputs[i]).shape; }
  const Shape& out(size_t i) const { return graph.tensor(node.outputs[i]).shape; }
  const Layout& layout(size_t i) const { return layouts[static_cast<size_t>(node.inputs[i])]; }
  ElementType in_type(size_t i) const { return graph.tensor(node.inputs[i]).type; }
  ElementType out_type(size_t i) const { return graph.tensor(node.outputs[i]).type; }
  // The layout that output `i` had best have; undecided: any.
  const Layout& wish(size_t i) const { return layouts[static_cast<size_t>(node.outputs[i])]; }
};

// Returns nothing when oneDNN has no fast way: the portable kernel serves then.
using Chooser = std::function<std::optional<KernelChoice>(const Context&)>;

// Op name to chooser. Each file kernels/<name>.cpp defines `void define_fast_<name>(Choosers&)`.
using Choosers = std::map<std::string, Chooser>;
void define_all_fast(Choosers& choosers);  // written by CMake from the files in kernels/

// Every input and output plain, absent ones undecided; a start for choosers.
KernelChoice plain_choice(const Context& c);

// False for what the portable kernels serve better: oneDNN's reference code, 100 times slower than
// its fast kernels, and its matrix product, which takes megabytes of its own behind our back.
bool is_usable(const char* implementation);

}  // namespace thimble::onednn
