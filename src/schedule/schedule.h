#pragma once

#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "graph/graph.h"

namespace thimble {

// What a byte is spent on; the order is the order in which people read it.
enum class Category : uint8_t {
  weights,  // with running statistics
  optimizer,
  gradients,  // of weights
  saved,      // forward results that the backward pass reads
  temporaries,
  scratchpad,  // one step's working memory
  data         // batches, labels, the loader's buffers
};
inline constexpr int kCategories = 7;
const char* name_of(Category category);

inline constexpr int64_t kNoPage = -1;

// A tensor as it lies in memory.
struct Buffer {
  std::string name;
  Shape shape;
  ElementType type = ElementType::f32;
  TensorId tensor = kNoTensor;  // in the graph; kNoTensor for a reordered copy
  Layout layout;
  int64_t bytes = 0;
  Category category = Category::temporaries;
  bool persistent = false;  // keeps its value between steps
  int64_t page = kNoPage;   // of a persistent one that waits in the page file: takes no memory
  Init init;                // of weights and statistics
  Shape dense;              // of a sparse weight, as in Tensor
  int64_t block = 1;
  int64_t group = 1;
};

using BufferId = int32_t;
inline constexpr BufferId kNoBuffer = -1;

// One kernel call.
struct Step {
  std::string op;
  std::string name;  // of the layer
  Phase phase = Phase::forward;
  std::vector<BufferId> inputs;
  std::vector<BufferId> outputs;          // the node's outputs, then its updates
  std::span<const InPlacePair> in_place;  // of the op table, which lives for ever
  int64_t scratch_bytes = 0;
  int64_t flops = 0;
  std::string implementation;
  std::shared_ptr<const Kernel> kernel;
  uint64_t work = 0;  // `work_of`
  Paging paging = Paging::none;
};

// How a persistent tensor that is not plain gets in and out of a file.
struct Transfer {
  BufferId buffer = kNoBuffer;
  int64_t plain_bytes = 0;
  int64_t scratch_bytes = 0;
  std::shared_ptr<const Kernel> to_plain, from_plain;
};

// The graph in order, a kernel chosen for each node, its scratch bytes known.
struct Schedule {
  std::string name;
  std::vector<Buffer> buffers;  // the graph's tensors in their order, then reordered copies
  std::vector<Step> steps;
  std::vector<Transfer> transfers;
  int64_t microbatches = 1;  // runs of the forward, backward and update steps

  const Buffer& buffer(BufferId id) const { return buffers[static_cast<size_t>(id)]; }
  BufferId find(std::string_view buffer_name) const;  // kNoBuffer when there is none
  // Written to the page file by each run of the steps; 0: there is none.
  int64_t paged_bytes() const;
};

// Keeps the order of the graph's nodes. `layouts` fixes tensors by name that another schedule
// already lays out (weights shared between training and evaluation); it is extended.
struct NamedLayout {
  std::string name;
  Layout layout;
};
Schedule make_schedule(const Graph& graph, Backend& backend, std::vector<NamedLayout>& layouts);

// One line a step, with layouts and bytes.
std::ostream& operator<<(std::ostream& out, const Schedule& schedule);

}  // namespace thimble
