#include "transforms/offload.h"

#include <algorithm>
#include <map>

#include "ops/core/builder.h"
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
// Arithmetic in whose time a byte of memory, and a byte of storage, is moved. From a board with a
// memory card to a server with flash this differs less than either figure. Ratios alone matter: who
// starts too early only waits in memory, where there is room.
constexpr double kFlopsPerByte = 10;
constexpr double kFlopsPerPagedByte = 250;
constexpr int64_t kPercentPerOption = 25;

// Backward nodes [first, last] that read one copy, and the node before which its reading starts.
struct Return {
  size_t first = 0, last = 0;
  size_t start = 0;
};

// A tensor that may wait in the file; nodes as places in the graph.
struct Page {
  TensorId tensor = kNoTensor;
  int64_t bytes = 0;
  size_t made = 0;
  size_t last_forward = 0;  // its producer, when no forward node reads it
  size_t written = 0;       // before this node, its memory is given back
  std::vector<Return> returns;
};

int64_t bytes_of(const Graph& g, TensorId t) {
  return g.tensor(t).shape.elements() * element_bytes(g.tensor(t).type);
}

// In the order in which they are made.
std::vector<Page> pages_of(const Graph& graph, int64_t percent) {
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
      if (bytes_of(graph, t) >= kSmallestBytes) uses[t] = {t, bytes_of(graph, t), n, n, n, {}};
    }
  }
  std::vector<Page> pages;
  int64_t all = 0;
  for (auto& [t, use] : uses) {
    if (use.returns.empty() || use.returns[0].first - use.last_forward <= kShortestWait) continue;
    all += use.bytes;
    pages.push_back(std::move(use));
  }
  std::stable_sort(pages.begin(), pages.end(),
                   [](const Page& a, const Page& b) { return a.made < b.made; });
  size_t count = 0;
  for (int64_t taken = 0; count < pages.size() && taken * 100 < all * percent; ++count) {
    taken += pages[count].bytes;
  }
  pages.resize(count);
  return pages;
}

// When transfers start and end: as long before and after the tensor's own use as they take, but not
// where the tensor's bytes would raise the largest sum of live bytes.
class Timetable {
 public:
  Timetable(const Graph& graph, std::vector<Page>& pages) : graph_(graph), pages_(pages) {}

  void make() {
    find_live_bytes();
    find_times();
    place_writes();
    place_reads();
  }

 private:
  // Of every node, without what is on its way. Gradients of weights are left out: updates take them
  // at once in the orders that matter.
  void find_live_bytes() {
    const size_t count = graph_.nodes.size();
    std::vector<size_t> made(graph_.tensors.size(), count), last(graph_.tensors.size(), 0);
    for (size_t n = 0; n < count; ++n) {
      for (TensorId t : graph_.nodes[n].outputs) {
        if (t == kNoTensor) continue;
        made[static_cast<size_t>(t)] = last[static_cast<size_t>(t)] = n;
      }
      for (TensorId t : graph_.nodes[n].inputs) {
        if (t != kNoTensor) last[static_cast<size_t>(t)] = n;
      }
    }
    std::vector<bool> paged(graph_.tensors.size());
    for (const Page& p : pages_) paged[static_cast<size_t>(p.tensor)] = true;
    live_.assign(count + 1, 0);
    for (size_t t = 0; t < graph_.tensors.size(); ++t) {
      const auto id = static_cast<TensorId>(t);
      const Role role = graph_.tensor(id).role;
      const bool counts = role == Role::activation || role == Role::difference;
      if (counts && made[t] < count && !paged[t]) add(made[t], last[t] + 1, bytes_of(graph_, id));
    }
    for (Page& p : pages_) {
      add(p.made, p.last_forward + 1, p.bytes);
      for (const Return& r : p.returns) add(r.first, r.last + 1, p.bytes);
      last[static_cast<size_t>(p.tensor)] = p.returns.back().last;
      p.written = p.last_forward + 1;
    }
    // An output over an input that is read for the last time.
    for (size_t n = 0; n < count; ++n) {
      const Node& node = graph_.nodes[n];
      for (const InPlacePair& pair : find_op(node.op).in_place) {
        const TensorId in = pair.input < node.inputs.size() ? node.inputs[pair.input] : kNoTensor;
        const TensorId out =
            pair.output < node.outputs.size() ? node.outputs[pair.output] : kNoTensor;
        if (in == kNoTensor || out == kNoTensor || last[static_cast<size_t>(in)] != n) continue;
        if (made[static_cast<size_t>(in)] == count) continue;
        if (bytes_of(graph_, in) == bytes_of(graph_, out)) live_[n] -= bytes_of(graph_, in);
      }
    }
    most_ = *std::max_element(live_.begin(), live_.end());
  }

  // The work done before each node.
  void find_times() {
    time_ = {0};
    for (const Node& node : graph_.nodes) {
      int64_t bytes = 0;
      for (const auto* tensors : {&node.inputs, &node.outputs}) {
        for (TensorId t : *tensors) bytes += t == kNoTensor ? 0 : bytes_of(graph_, t);
      }
      const auto flops = static_cast<double>(flops_of(graph_, node));
      time_.push_back(time_.back() + std::max(flops, kFlopsPerByte * static_cast<double>(bytes)));
    }
  }

  static double transfer_time(const Page& p) {
    return kFlopsPerPagedByte * static_cast<double>(p.bytes);
  }

  void place_writes() {
    double storage_free = 0;
    for (Page& p : pages_) {
      storage_free = std::max(storage_free, time_[p.made + 1]) + transfer_time(p);
      const size_t latest = p.returns.front().first;
      while (p.written < latest && time_[p.written] < storage_free && has_room(p, p.written)) {
        live_[p.written++] += p.bytes;
      }
      storage_free = std::min(storage_free, time_[p.written]);  // waited for, if not done by then
    }
  }

  // From the end: what is read last leaves the storage to what is read before it.
  void place_reads() {
    std::vector<std::pair<Page*, Return*>> all;
    for (Page& p : pages_) {
      for (Return& r : p.returns) all.emplace_back(&p, &r);
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.second->first > b.second->first;
    });
    double storage_needed = time_.back();
    for (const auto& [p, r] : all) {
      const double begin = std::min(storage_needed, time_[r->first]) - transfer_time(*p);
      size_t earliest = p->written;
      for (const Return& other : p->returns) {
        // One more: `before` moves a start to the front of two gradients.
        if (other.last < r->first) earliest = std::max(earliest, other.last + 2);
      }
      while (r->start > earliest && time_[r->start] > begin && has_room(*p, r->start - 1)) {
        live_[--r->start] += p->bytes;
      }
      storage_needed = std::min(storage_needed, time_[r->start]);
    }
  }

  bool has_room(const Page& p, size_t n) const { return live_[n] + p.bytes <= most_; }

  void add(size_t first, size_t last, int64_t bytes) {
    for (size_t n = first; n < last; ++n) live_[n] += bytes;
  }

  const Graph& graph_;
  std::vector<Page>& pages_;
  std::vector<int64_t> live_;  // by node
  int64_t most_ = 0;
  std::vector<double> time_;  // by node, and the end
};

class Offloader {
 public:
  Offloader(const Graph& from, std::vector<Page> pages)
      : from_(from), pages_(std::move(pages)), events_(from.nodes.size() + 1) {
    to_.name = from.name;
    to_.tensors = from.tensors;
    to_.microbatches = from.microbatches;
  }

  Graph run() {
    Timetable(from_, pages_).make();
    list_events();
    std::map<TensorId, TensorId> copies;  // what backward reads instead
    for (size_t n = 0; n <= from_.nodes.size(); ++n) {
      for (const Event& e : events_[n]) happen(e, copies);
      if (n == from_.nodes.size()) break;
      Node node = from_.nodes[n];
      if (node.phase != Phase::forward) {
        for (TensorId& t : node.inputs) {
          const auto copy = copies.find(t);
          if (copy != copies.end()) t = copy->second;
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
        const Return& r = p.returns[c];
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
    const bool pair = nodes[n].phase == Phase::backward && nodes[n - 1].phase == Phase::backward &&
                      nodes[n].name == nodes[n - 1].name;
    return pair ? n - 1 : n;
  }

  void happen(const Event& e, std::map<TensorId, TensorId>& copies) {
    const Page& p = pages_[e.page];
    const Tensor& tensor = from_.tensor(p.tensor);
    const std::string& layer = from_.nodes[p.made].name;
    const Attributes page = {{"page", static_cast<int64_t>(e.page)}};
    const std::string of_type = name_of(tensor.type);
    const auto node = [&](Phase phase, const char* op, std::vector<TensorId> inputs,
                          Attributes attributes, const std::string& result) {
      const TensorId made = append_node(to_, phase, op, layer, std::move(inputs), attributes)[0];
      to_.tensor(made).name = str_cat(tensor.name, ' ', result);
      return made;
    };
    const std::string copy = e.copy == 0 ? "" : str_cat(' ', e.copy + 1);
    switch (e.what) {
      case What::start_write:
        on_its_way_[e.page] = node(Phase::forward, "page_out", {p.tensor}, page, "leaving");
        break;
      case What::end_write:
        on_its_way_[e.page] = node(phase_before(p.written), "page_out_end",
                                   {p.tensor, on_its_way_[e.page]}, page, "in the page file");
        break;
      case What::start_read: {
        Attributes attributes = page;
        attributes.set("type", of_type);
        const Shape& shape = tensor.shape;
        attributes.set("shape", std::vector<int64_t>{shape.begin(), shape.end()});
        arriving_[e.page] = node(Phase::backward, "page_in", {on_its_way_[e.page]}, attributes,
                                 str_cat("arriving", copy));
        break;
      }
      case What::end_read: {
        Attributes attributes = page;
        attributes.set("type", of_type);
        copies[p.tensor] = node(Phase::backward, "page_in_end", {arriving_.at(e.page)}, attributes,
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
  Graph to_;
};

}  // namespace

Graph offload(const Graph& training, int64_t percent) {
  return Offloader(training, pages_of(training, percent)).run();
}

const Technique& technique_offload() {
  static const Technique technique = {
      .name = "offload",
      .summary = "What backward reads again waits in a file, written and read while kernels run",
      .paper = "vDNN, arXiv 1602.08124; FlashNeuron, FAST 2021",
      .stage = Technique::Stage::last,
      .promise = [](const Graph&) { return Promise::bit_exact; },
      .options = {1, 2, 4},  // each makes the search longer
      .uses_storage = true,
      .apply = [](const Graph& training, int64_t option) -> Rewrite {
        Graph graph = offload(training, kPercentPerOption * option);
        if (graph.nodes.size() == training.nodes.size()) {
          return {std::nullopt, "nothing waits long enough for the backward pass"};
        }
        return {std::move(graph), ""};
      },
      .describe =
          [](int64_t option) {
            return str_cat("offload: ", kPercentPerOption * option, "% of what waits for backward");
          }};
  return technique;
}

}  // namespace thimble
