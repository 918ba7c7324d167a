#pragma once

#include <span>
#include <vector>

#include "memory/plan.h"
#include "planner/cost_model.h"
#include "transforms/recompute.h"

namespace thimble {

// What a list of runs takes: the bytes and seconds that the schedule of its graph would (in
// Order::smaller_first), fifty times as fast, because neither is made. A search may so look at tens
// of thousands of lists; the plans that it keeps are judged by their real schedules all the same.
class RunModel {
 public:
  // `training` keeps everything. Layouts are plain ones, as with the portable backend.
  RunModel(const Graph& training, Backend& backend, std::vector<NamedLayout>& layouts,
           const std::vector<Reservation>& reservations, const Machine& machine);
  // False where the backend copies tensors between steps: costs are not the nodes' own then.
  bool is_exact() const { return exact_; }

  struct Cost {
    int64_t arena_bytes = 0;  // largest live bytes
    double seconds = 0;       // of a step
  };
  // Leaves out of `runs` what nobody reads.
  Cost cost(Runs& runs);
  // Of the last list, summed over its steps: live bytes above so many.
  double excess(int64_t arena_bytes) const;
  // A change of the list that may lower its peak: these runs, before the run `at`, and perhaps one
  // run less.
  struct Move {
    int32_t at = 0;
    Runs runs;
    int32_t without = -1;         // a run of the list as it is; -1: none
    int64_t bytes = 0;            // less at the peak, about
    double seconds = 0;           // more
    TensorId tensor = kNoTensor;  // what is let go of for a while
  };
  // Of the last list, which is `runs`: nodes that run again lately instead of keeping a result over
  // the peak, or early, where what they make is smaller than what they read; the sum of two
  // gradients that wait for one reader; and the input gradient at the peak before the weight's.
  std::vector<Move> moves(const Runs& runs);
  static Runs moved(const Runs& runs, const Move& move);
  double seconds_again(int32_t node) const { return tasks_[task(kAgain, node)].seconds; }

 private:
  // What a run does, by kind and node.
  enum : size_t { kFirst, kAgain, kSum, kSummed };
  struct Task {
    std::vector<TensorId> inputs, outputs;  // present ones
    std::span<const InPlacePair> in_place;
    std::vector<int> slots_in, slots_out;  // as in_place counts them: where in these, or -1
    int64_t scratch_bytes = 0;
    double seconds = 0;
    Phase phase = Phase::forward;
    int32_t layer = -1;  // of a weight gradient or an input gradient: which, for their order
    bool of_weights = false;
  };
  using Buffer = int32_t;  // a tensor's first version is the tensor; others come behind all of them
  struct Place {
    size_t task;
    int32_t begin_in, begin_out;  // in buffers_in_ and buffers_out_
  };

  size_t task(size_t kind, int32_t node) const { return kind * nodes_ + static_cast<size_t>(node); }
  void resolve(const Runs& runs);
  bool remove_unread(Runs& runs);
  void swap_gradients();
  void hoist_updates();
  void measure();
  int64_t run_at_peak(size_t runs) const;
  void find_touches(int64_t peak);
  // The version that a run at this place reads.
  Buffer version_at(TensorId tensor, int64_t place) const;
  void add_late(Buffer buffer, int64_t peak, std::vector<Move>& all) const;
  void add_early(Buffer buffer, int64_t peak, std::vector<Move>& all) const;
  std::span<const Buffer> ins(size_t place) const;
  std::span<const Buffer> outs(size_t place) const;

  bool exact_ = false;
  size_t nodes_ = 0;
  int64_t persistent_bytes_ = 0;
  std::vector<Task> tasks_;
  std::vector<int64_t> bytes_;     // by tensor
  std::vector<bool> persistent_;   // by tensor
  std::vector<int32_t> producer_;  // by tensor: the forward node that may make it again, or -1
  struct Sum {
    int32_t node;  // that reads the sum of two gradients
    TensorId first, second;
  };
  std::vector<Sum> sums_;
  std::vector<size_t> before_, behind_;  // tasks around the runs

  // Of the last list.
  size_t offset_ = 0;          // of its first run among places_
  std::vector<Place> places_;  // all tasks, in the graph's order
  std::vector<Buffer> buffers_in_, buffers_out_;
  std::vector<TensorId> tensor_of_;  // by buffer
  std::vector<Buffer> newest_;       // by tensor
  std::vector<Buffer> older_;        // by buffer: the version before it
  std::vector<bool> summed_;         // by backward node
  std::vector<char> read_;           // by buffer
  std::vector<int32_t> last_read_, written_, touched_;
  std::vector<int32_t> order_;  // places_ in the order of the schedule
  std::vector<int32_t> body_;
  std::vector<std::pair<int32_t, int32_t>> hoisted_;
  std::vector<int32_t> waiting_;
  std::vector<int32_t> first_, last_, block_of_, block_first_, block_last_;
  std::vector<int64_t> block_bytes_;
  // Of the runs at and around the peak, by buffer: its maker, the last touch up to the peak,
  // whether that is a read, the next read behind it, and the last.
  struct Touches {
    int32_t maker = -1, before = -1, next = -1, last = -1;
    bool read_before = false;
  };
  std::vector<Touches> touches_;
  std::vector<int64_t> live_;  // by step of the schedule, persistent bytes included
};

}  // namespace thimble
