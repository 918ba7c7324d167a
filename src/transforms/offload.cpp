#include "transforms/offload.h"

#include <algorithm>
#include <map>

#include "ops/core/builder.h"
#include "transforms/core/page_times.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

// Smaller ones are not worth a transfer.
constexpr int64_t kSmallestBytes = 64 << 10;
// Between its last forward and first backward reader, what waits for no more nodes than this would
// only get a second place.
constexpr size_t kShortestWait = 6;
// Readers that stand no further apart share one copy.
constexpr size_t kSharingDistance = 6;
constexpr int64_t kPercentPerOption = 25;

// What forward makes and backward reads, in the order in which it is made.
std::vector<Page> saved_pages(const Graph& graph) {
  std::map<TensorId, Page> uses;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    for (TensorId t : node.inputs) {
      const auto it = uses.find(t);
      if (it == uses.end()) continue;
      Page& use = it->second;
      if (node.phase == Phase::forward) {
        use.last_forward = n;
      } else if (use.returns.empty() || n - use.returns.back().last > kSharingDistance) {
        use.returns.push_back({n, n, n});
      } else {
        use.returns.back().last = n;
      }
    }
    if (node.phase != Phase::forward) continue;
    for (TensorId t : node.outputs) {
      if (t == kNoTensor || graph.tensor(t).role != Role::activation) continue;
      if (bytes_of(graph, t) >= kSmallestBytes) {
        uses[t] = {t, bytes_of(graph, t), false, n, n, n, {}};
      }
    }
  }
  std::vector<Page> pages;
  for (auto& [t, use] : uses) {
    if (use.returns.empty() || use.returns[0].first - use.last_forward <= kShortestWait) continue;
    pages.push_back(std::move(use));
  }
  std::stable_sort(pages.begin(), pages.end(),
                   [](const Page& a, const Page& b) { return a.made < b.made; });
  return pages;
}

// State that one node of each step reads and writes, which no other stands around. With
// microbatches there is none: momentum then sums their gradients, and what Adam keeps is needed
// once in many passes.
std::vector<Page> state_pages(const Graph& graph) {
  std::vector<int> readers(graph.tensors.size());
  for (const Node& node : graph.nodes) {
    for (TensorId t : node.inputs) {
      if (t != kNoTensor) ++readers[static_cast<size_t>(t)];
    }
  }
  std::vector<Page> pages;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const bool of_copy = node.inputs.empty() || !is_persistent(graph.tensor(node.inputs[0]).role);
    if (node.phase != Phase::update || of_copy) continue;
    for (TensorId t : node.updates) {
      const bool fits = graph.tensor(t).role == Role::optimizer &&
                        readers[static_cast<size_t>(t)] == 1 &&
                        bytes_of(graph, t) >= kSmallestBytes;
      if (fits) pages.push_back({t, bytes_of(graph, t), true, n, n, n, {{n, n, n}}});
    }
  }
  return pages;
}

// State first: it takes memory at every moment of the step, so it need not be known where the peak
// is.
std::vector<Page> pages_of(const Graph& graph, int64_t percent) {
  std::vector<Page> pages = state_pages(graph);
  const std::vector<Page> saved = saved_pages(graph);
  pages.insert(pages.end(), saved.begin(), saved.end());
  int64_t all = 0;
  for (const Page& p : pages) all += p.bytes;
  size_t count = 0;
  for (int64_t taken = 0; count < pages.size() && taken * 100 < all * percent; ++count) {
    taken += pages[count].bytes;
  }
  pages.resize(count);
  return pages;
}

// The two gradients of a layer, of which either may run first.
bool is_pair(const Node& a, const Node& b) {
  return a.phase == Phase::backward && b.phase == Phase::backward && a.name == b.name &&
         a.op.ends_with("_backward_weights") && b.op.ends_with("_backward_data");
}

// Updates of state that waits stand at the end of the graph; now just behind their gradients, so
// that the storage works while the backward pass goes on. `pages` follow.
Graph with_updates_placed(const Graph& from, std::vector<Page>& pages) {
  const size_t count = from.nodes.size();
  std::vector<size_t> touched(from.tensors.size());  // by which node last, updates apart
  for (size_t n = 0; n < count; ++n) {
    const Node& node = from.nodes[n];
    if (node.phase >= Phase::update) continue;
    for (const auto* list : {&node.inputs, &node.outputs}) {
      for (TensorId t : *list) {
        if (t != kNoTensor) touched[static_cast<size_t>(t)] = n;
      }
    }
  }
  std::map<size_t, std::vector<size_t>> behind;  // updates, by the node that they follow
  std::vector<bool> moved(count);
  for (const Page& p : pages) {
    if (!p.state || moved[p.made]) continue;
    size_t last = 0;
    for (TensorId t : from.nodes[p.made].inputs) {
      if (t != kNoTensor) last = std::max(last, touched[static_cast<size_t>(t)]);
    }
    if (last + 1 < count && is_pair(from.nodes[last], from.nodes[last + 1])) ++last;
    behind[last].push_back(p.made);
    moved[p.made] = true;
  }
  Graph to = from;
  to.nodes.clear();
  std::vector<size_t> place(count);
  const auto append = [&](size_t n) {
    place[n] = to.nodes.size();
    to.nodes.push_back(from.nodes[n]);
  };
  for (size_t n = 0; n < count; ++n) {
    if (!moved[n]) append(n);
    for (size_t update : behind[n]) append(update);
  }
  for (Page& p : pages) {
    for (size_t* n : {&p.made, &p.last_forward, &p.written}) *n = place[*n];
    for (PageReturn& r : p.returns) r = {place[r.first], place[r.last], place[r.start]};
  }
  std::stable_sort(pages.begin(), pages.end(),
                   [](const Page& a, const Page& b) { return a.made < b.made; });
  return to;
}

class Offloader {
 public:
  Offloader(const Graph& from, std::vector<Page> pages)
      : from_(from), pages_(std::move(pages)), events_(from.nodes.size() + 1) {
    to_.name = from.name;
    to_.tensors = from.tensors;
    to_.microbatches = from.microbatches;
  }

  Graph run() {
    find_times(from_, pages_);
    list_events();
    std::map<TensorId, TensorId> copies;  // what backward reads instead
    for (size_t n = 0; n <= from_.nodes.size(); ++n) {
      for (const Event& e : events_[n]) happen(e, copies);
      if (n == from_.nodes.size()) break;
      Node node = from_.nodes[n];
      if (node.phase != Phase::forward) {
        for (auto* list : {&node.inputs, &node.updates}) {
          for (TensorId& t : *list) {
            const auto copy = copies.find(t);
            if (copy != copies.end()) t = copy->second;
          }
        }
      }
      node.gradient_of = -1;  // places have moved
      to_.nodes.push_back(std::move(node));
    }
    verify(to_);
    return std::move(to_);
  }

 private:
  // In the order in which they happen before one node.
  enum class What { start_write, end_write, start_read, end_read };
  struct Event {
    What what = What::start_write;
    size_t needed = 0;  // of reads: the node that waits for it
    size_t page = 0;
    size_t copy = 0;  // of reads: which of the returns
  };

  void list_events() {
    for (size_t i = 0; i < pages_.size(); ++i) {
      const Page& p = pages_[i];
      events_[p.made + 1].push_back({What::start_write, 0, i, 0});
      events_[before(p.written)].push_back({What::end_write, 0, i, 0});
      for (size_t c = 0; c < p.returns.size(); ++c) {
        const PageReturn& r = p.returns[c];
        events_[before(r.start)].push_back({What::start_read, r.first, i, c});
        events_[before(r.first)].push_back({What::end_read, r.first, i, c});
      }
    }
    for (auto& events : events_) {
      std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
        return std::pair(a.what, a.needed) < std::pair(b.what, b.needed);
      });
    }
  }

  // The two gradients of a layer stay together: which runs first is decided later.
  size_t before(size_t n) const {
    const auto& nodes = from_.nodes;
    if (n == 0 || n >= nodes.size()) return n;
    return is_pair(nodes[n - 1], nodes[n]) ? n - 1 : n;
  }

  void happen(const Event& e, std::map<TensorId, TensorId>& copies) {
    const Page& p = pages_[e.page];
    const Tensor& tensor = from_.tensor(p.tensor);
    const std::string& layer = from_.nodes[p.made].name;
    const Attributes page = {{"page", static_cast<int64_t>(e.page)}};
    const std::string of_type = name_of(tensor.type);
    // State is what it is called in the file; its copy is in memory.
    const TensorId values = p.state ? here_[e.page] : p.tensor;
    const auto node = [&](Phase phase, const char* op, std::vector<TensorId> inputs,
                          Attributes attributes, const std::string& result) {
      const TensorId made = append_node(to_, phase, op, layer, std::move(inputs), attributes)[0];
      to_.tensor(made).name = str_cat(tensor.name, ' ', result);
      return made;
    };
    const std::string copy = e.copy == 0 ? "" : str_cat(' ', e.copy + 1);
    switch (e.what) {
      case What::start_write:
        on_its_way_[e.page] =
            node(p.state ? Phase::backward : Phase::forward, "page_out", {values}, page, "leaving");
        break;
      case What::end_write:
        on_its_way_[e.page] = node(phase_before(p.written), "page_out_end",
                                   {values, on_its_way_[e.page]}, page, "in the page file");
        if (p.state) to_.nodes.back().updates = {p.tensor};
        break;
      case What::start_read: {
        Attributes attributes = page;
        attributes.set("type", of_type);
        const Shape& shape = tensor.shape;
        attributes.set("shape", std::vector<int64_t>{shape.begin(), shape.end()});
        const TensorId waiting = p.state ? p.tensor : on_its_way_[e.page];
        arriving_[e.page] =
            node(Phase::backward, "page_in", {waiting}, attributes, str_cat("arriving", copy));
        break;
      }
      case What::end_read: {
        Attributes attributes = page;
        attributes.set("type", of_type);
        here_[e.page] = copies[p.tensor] =
            node(Phase::backward, "page_in_end", {arriving_.at(e.page)}, attributes,
                 str_cat("from the page file", copy));
        break;
      }
    }
  }

  Phase phase_before(size_t n) const {
    const size_t at = before(n);
    const bool forward = at == 0 || from_.nodes[at - 1].phase == Phase::forward;
    return forward ? Phase::forward : Phase::backward;
  }

  const Graph& from_;
  std::vector<Page> pages_;
  std::vector<std::vector<Event>> events_;  // by node before which they happen
  std::map<size_t, TensorId> on_its_way_;   // by page: the number that stands for it
  std::map<size_t, TensorId> arriving_;     // by page: its memory while it is read
  std::map<size_t, TensorId> here_;         // by page: its memory once it was read
  Graph to_;
};

}  // namespace

Graph offload(const Graph& training, int64_t percent) {
  std::vector<Page> pages = pages_of(training, percent);
  const Graph placed = with_updates_placed(training, pages);
  return Offloader(placed, std::move(pages)).run();
}

const Technique& technique_offload() {
  static const Technique technique = {
      .name = "offload",
      .summary = "Optimizer state, and what backward reads again, wait in a file while kernels run",
      .paper = "vDNN, arXiv 1602.08124; FlashNeuron, FAST 2021",
      .stage = Technique::Stage::last,
      .promise = [](const Graph&) { return Promise::bit_exact; },
      .options = {1, 2, 4},  // each makes the search longer
      .uses_storage = true,
      .apply = [](const Graph& training, int64_t option) -> Rewrite {
        Graph graph = offload(training, kPercentPerOption * option);
        if (graph.nodes.size() == training.nodes.size()) {
          return {std::nullopt, "neither state nor what backward reads is worth a transfer"};
        }
        return {std::move(graph), ""};
      },
      .describe =
          [](int64_t option) {
            return str_cat("offload: ", kPercentPerOption * option, "% of what may wait in a file");
          }};
  return technique;
}

}  // namespace thimble
