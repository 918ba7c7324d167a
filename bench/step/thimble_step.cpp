// One contestant of bench/step: a training step of a zoo model, alone. Talks to run.py over
// standard input and output, so that two programs can take turns on one machine.
//
//   bench_step MODEL BATCH INPUT CLASSES NORM SEED WEIGHTS.safetensors BATCHES.safetensors|- LR
//              BUDGET_MIB [ALLOWED]
//
// Writes its initial weights to WEIGHTS, then for each line:
//   step K      trains on batch K of BATCHES ("images.K", "labels.K", or by example "images.K.N",
//               "labels.K.N"); answers seconds and loss. A plan with microbatches reads by example
//   profile K   trains on one (micro)batch; a line per kind of kernel: seconds, steps, name
//   save FILE   writes weights and optimizer state
#include <chrono>
#include <cstring>
#include <iostream>
#include <map>
#include <sstream>

#include "base/process_memory.h"
#include "models/model.h"
#include "planner/planner.h"
#include "runtime/arena.h"
#include "runtime/executor.h"
#include "runtime/safetensors.h"
#include "runtime/weights.h"

namespace thimble {
namespace {

class Contestant {
 public:
  Contestant(const PlanRequest& request, uint64_t seed, float lr)
      : plan_(make_plan(request, {1e11, 1e10, 1e-6, 2e11})),
        arena_(plan_.arena_bytes),
        executor_(plan_.train.schedule, plan_.train.memory, arena_.data()),
        store_(plan_.train.schedule, plan_.train.memory, arena_.data(), plan_.arena_bytes,
               nullptr) {
    store_.initialise(seed);
    *at<float>("lr") = lr;
  }

  template <class T>
  T* at(const std::string& name) {
    return static_cast<T*>(executor_.address(plan_.train.schedule.find(name)));
  }
  int64_t bytes(const std::string& name) const {
    return plan_.train.schedule.buffer(plan_.train.schedule.find(name)).bytes;
  }
  struct Result {
    double seconds = 0;  // of computing: PyTorch finds its batch in memory, too
    double loss = 0;     // mean over the batch
  };
  // Trains on batch `what` of `batches`, if any.
  Result step(const SafetensorsReader* batches, const std::string& what) {
    using Part = Executor::Part;
    Result result;
    at<int32_t>("counter")[0] = steps_++;
    const int64_t parts = plan_.numerics.microbatches;
    if (parts > 1) result.seconds += timed([&] { executor_.run_part(Part::prepare); });
    for (int64_t k = 0; k < parts; ++k) {
      read(batches, what, k);
      at<int32_t>("counter")[2] = static_cast<int32_t>(k * examples());
      result.seconds +=
          timed([&] { parts > 1 ? executor_.run_part(Part::body) : executor_.run(); });
      result.loss += static_cast<double>(*at<float>("loss")) / static_cast<double>(parts);
    }
    if (parts > 1) result.seconds += timed([&] { executor_.run_part(Part::finish); });
    return result;
  }
  // The seconds of each step of the schedule, for the first (micro)batch.
  std::vector<double> profile(const SafetensorsReader* batches, const std::string& what) {
    read(batches, what, 0);
    std::vector<double> seconds;
    executor_.run_timed(0, seconds);
    return seconds;
  }
  void save(const std::string& path) { store_.save(path, true, {}); }
  const Plan& plan() const { return plan_; }

 private:
  template <class Body>
  static double timed(const Body& body) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  int64_t examples() const { return bytes("labels") / int64_t{sizeof(int32_t)}; }

  // Part `k` of the batch, straight to its place: nothing of the batch's size is held.
  void read(const SafetensorsReader* batches, const std::string& what, int64_t k) {
    if (batches == nullptr) return;
    for (const std::string name : {"images", "labels"}) {
      const std::string whole = str_cat(name, '.', what);
      auto* to = at<std::byte>(name);
      if (batches->has(whole)) {
        batches->read(whole, to, bytes(name));
        continue;
      }
      const int64_t each = bytes(name) / examples();
      for (int64_t i = 0; i < examples(); ++i) {
        batches->read(str_cat(whole, '.', k * examples() + i), to + i * each, each);
      }
    }
  }

  Plan plan_;
  Arena arena_;
  Executor executor_;
  WeightStore store_;
  int32_t steps_ = 0;
};

void print_profile(const Schedule& schedule, const std::vector<double>& seconds) {
  std::map<std::string, std::pair<double, int>> kinds;
  for (size_t s = 0; s < seconds.size(); ++s) {
    auto& kind = kinds[schedule.steps[s].op + " " + schedule.steps[s].implementation];
    kind.first += seconds[s];
    kind.second += 1;
  }
  std::cout << "profile " << kinds.size() << '\n';
  for (const auto& [name, kind] : kinds) {
    std::cout << kind.first << ' ' << kind.second << ' ' << name << '\n';
  }
}

int run(const std::vector<std::string>& args) {
  set_thread_count(2);
  ModelOptions options;
  options.batch = std::stoll(args[1]);
  options.height = std::stoll(args[2]);
  options.classes = std::stoll(args[3]);
  options.norm = args[4];
  PlanRequest request;
  request.forward = build_model(args[0], options);
  request.budget_bytes = static_cast<int64_t>(std::stod(args[9]) * 1024 * 1024);
  if (args.size() > 10) request.allow = {args[10]};
  Contestant contestant(request, std::stoull(args[5]), std::stof(args[8]));
  const Plan& plan = contestant.plan();
  if (!plan.fits) {
    std::cerr << "bench_step: needs " << plan.smallest_budget_bytes << " bytes\n";
    return 3;
  }
  contestant.save(args[6]);
  std::cout << "ready " << plan.process_bytes << ' ' << plan.fixed_bytes << ' ' << plan.arena_bytes
            << ' ' << plan.lower_bound_bytes << ' ' << plan.numerics.microbatches << std::endl;
  std::unique_ptr<SafetensorsReader> batches;
  if (args[7] != "-") batches = std::make_unique<SafetensorsReader>(args[7]);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb, what;
    words >> verb >> what;
    if (verb == "save") {
      contestant.save(what);
      std::cout << "saved" << std::endl;
      continue;
    }
    if (verb == "profile") {
      print_profile(plan.train.schedule, contestant.profile(batches.get(), what));
      continue;
    }
    const Contestant::Result result = contestant.step(batches.get(), what);
    std::cout.precision(9);
    std::cout << result.seconds << ' ' << result.loss << ' ' << peak_resident_bytes() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace thimble

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 10 || args.size() > 11) {
    std::cerr << "usage: see the top of thimble_step.cpp\n";
    return 2;
  }
  try {
    return thimble::run(args);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
