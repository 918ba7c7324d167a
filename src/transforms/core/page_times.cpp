#include "transforms/core/page_times.h"

#include <algorithm>

#include "ops/core/op.h"

namespace thimble {
namespace {

// Arithmetic in whose time a byte of memory, and a byte of storage, is moved. From a board with a
// memory card to a server with flash this differs less than either figure. Ratios alone matter: who
// starts too early only waits in memory, where there is room.
constexpr double kFlopsPerByte = 10;
constexpr double kFlopsPerPagedByte = 250;

class Timetable {
 public:
  Timetable(const Graph& graph, std::vector<Page>& pages) : graph_(graph), pages_(pages) {
    while (backward_ < graph.nodes.size() && graph.nodes[backward_].phase <= Phase::forward) {
      ++backward_;
    }
    body_ = graph.nodes.size();
    while (body_ > 0 && graph.nodes[body_ - 1].phase >= Phase::update) --body_;
  }

  void make() {
    find_live_bytes();
    measure_work();
    place_writes();
    place_reads();
  }

 private:
  // Of every node, without what is on its way. Gradients of weights are left out, and readers among
  // the updates: those come at once in the orders that matter.
  void find_live_bytes() {
    const size_t count = graph_.nodes.size();
    std::vector<size_t> made(graph_.tensors.size(), count), last(graph_.tensors.size(), 0);
    for (size_t n = 0; n < count; ++n) {
      for (TensorId t : graph_.nodes[n].outputs) {
        if (t == kNoTensor) continue;
        made[static_cast<size_t>(t)] = last[static_cast<size_t>(t)] = n;
      }
      if (graph_.nodes[n].phase >= Phase::update) continue;
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
      const bool counts = is_forward_result(role) || role == Role::difference;
      if (counts && made[t] < count && !paged[t]) add(made[t], last[t] + 1, bytes_of(graph_, id));
    }
    for (Page& p : pages_) {
      if (!p.state) add(p.made, p.last_forward + 1, p.bytes);
      for (const PageReturn& r : p.returns) add(r.first, r.last + 1, p.bytes);
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
  void measure_work() {
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
      // Updates at the end of the graph are moved to their gradients later: not behind them.
      const size_t latest = p.state ? std::max(body_, p.made + 1) : p.returns.front().first;
      while (p.written < latest && time_[p.written] < storage_free && has_room(p, p.written)) {
        live_[p.written++] += p.bytes;
      }
      storage_free = std::min(storage_free, time_[p.written]);  // waited for, if not done by then
    }
  }

  // From the end: what is read last leaves the storage to what is read before it.
  void place_reads() {
    std::vector<std::pair<Page*, PageReturn*>> all;
    for (Page& p : pages_) {
      for (PageReturn& r : p.returns) all.emplace_back(&p, &r);
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.second->first > b.second->first;
    });
    double storage_needed = time_.back();
    for (const auto& [p, r] : all) {
      // State goes back as soon as it has come: the storage does both at a time.
      const double taken = transfer_time(*p) * (p->state ? 2 : 1);
      const double begin = std::min(storage_needed, time_[r->first]) - taken;
      size_t earliest = p->state ? backward_ : p->written;
      for (const PageReturn& other : p->returns) {
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
  size_t backward_ = 0;        // the first node that is not of the forward pass
  size_t body_ = 0;            // the first of the updates at the end
  std::vector<int64_t> live_;  // by node
  int64_t most_ = 0;
  std::vector<double> time_;  // by node, and the end
};

}  // namespace

int64_t bytes_of(const Graph& graph, TensorId t) {
  return graph.tensor(t).shape.elements() * element_bytes(graph.tensor(t).type);
}

void find_times(const Graph& graph, std::vector<Page>& pages) { Timetable(graph, pages).make(); }

}  // namespace thimble
