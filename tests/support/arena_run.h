#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/page_file.h"
#include "base/parallel.h"
#include "memory/plan.h"
#include "runtime/executor.h"
#include "schedule/schedule.h"
#include "support/interpreter.h"

namespace thimble {

// The thread count, put back at the end of the scope.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(thread_count()) { set_thread_count(threads); }
  ~ThreadCount() { set_thread_count(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

// Memory for an arena between two guards; all ones, which is NaN, until somebody writes.
class GuardedArena {
 public:
  explicit GuardedArena(int64_t bytes);
  std::byte* data() { return data_; }
  int64_t bytes() const { return size_; }
  // Arena and guards.
  const std::vector<std::byte>& memory() const { return memory_; }
  size_t offset_of(const void* address) const {
    return static_cast<size_t>(static_cast<const std::byte*>(address) - memory_.data());
  }
  bool guards_intact() const;
  // One behind the last byte that differs from the poison.
  int64_t touched_bytes() const;

 private:
  int64_t size_;
  std::vector<std::byte> memory_;
  std::byte* data_;
};

// Where the graph's data tensors come from: they are persistent and plain, or made by a first step
// in the layout that their first reader wants, and then free to be overwritten.
enum class DataFrom { outside, step };

// A graph as a backend really runs it: scheduled, planned, checked, in one guarded arena.
class ArenaRun {
 public:
  ArenaRun(const Graph& graph, const std::string& backend, DataFrom from = DataFrom::outside);
  ArenaRun(const ArenaRun&) = delete;
  ArenaRun& operator=(const ArenaRun&) = delete;

  const Schedule& schedule() const { return schedule_; }
  const MemoryPlan& plan() const { return plan_; }
  GuardedArena& arena() { return *arena_; }
  Executor& executor() { return *executor_; }

  void set(TensorId tensor, const std::vector<double>& values);
  void set(const Values& values);  // those that are not empty
  void run();
  // The same, holding every step to its word: it writes all of its outputs, its updates, its
  // scratch and nothing else, reads no scratch that it did not write, and keeps padding zero.
  // Returns each tensor as its last writer left it, plain. With `corrected`, a step's outputs are
  // replaced by those values afterwards, so that each step starts from exact inputs.
  Values run_steps(const Values& corrected = {});
  // A tensor that still has its bytes, plain; empty when only its kernels can read it.
  std::vector<double> get(TensorId tensor);
  // In the tensor's own layout.
  std::vector<std::byte> bytes(BufferId buffer);

 private:
  class Load;
  void add_loads(const Graph& graph);
  void run_checked(size_t step);
  void poison_results(const Step& step, size_t s);
  void write(BufferId buffer, const std::vector<double>& values);
  std::vector<std::byte> laid_out(const Buffer& b, const std::vector<double>& values);
  std::vector<std::byte> reordered(const Buffer& b, const void* from, const Layout& from_layout,
                                   const Layout& to_layout);

  std::unique_ptr<Backend> backend_;
  Schedule schedule_;
  MemoryPlan plan_;
  std::vector<std::shared_ptr<Load>> loads_;  // by tensor; null where there is none
  std::unique_ptr<GuardedArena> arena_;
  PageFile pages_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace thimble
