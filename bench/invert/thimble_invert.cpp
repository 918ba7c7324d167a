// What does it cost to have maps again, by the way in which what lies inside of branches is had?
// Steps of one network take turns: kept, kept without sum_in_place, and each option of `invert`
// (the whole network, recomputing nothing). float32, SGD with momentum 0.9.
//
//   bench_invert MODEL BATCH WIDTH THREADS ROUNDS [KEY=VALUE ...]  > results.jsonl
//
// A line for each way and round: milliseconds (median of 7 steps), the ratio to `kept` of the same
// round, bytes of the arena, and the loss after the first three steps, which must be that of
// `kept`.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <memory>

#include "base/error.h"
#include "base/parallel.h"
#include "base/random.h"
#include "models/model.h"
#include "planner/planner.h"
#include "runtime/arena.h"
#include "runtime/executor.h"
#include "runtime/weights.h"
#include "transforms/invert.h"

namespace thimble {
namespace {

constexpr int kSteps = 7;
constexpr int kCheckedSteps = 3;
constexpr double kTolerance = 1e-3;  // of the loss

class Contestant {
 public:
  Contestant(std::string name, PlanRequest request, const std::vector<Setting>& settings)
      : name_(std::move(name)),
        plan_(make_plan(pinned(std::move(request), settings), {1e11, 1e10, 1e-6})),
        arena_(plan_.arena_bytes),
        executor_(plan_.train.schedule, plan_.train.memory, arena_.data()),
        store_(plan_.train.schedule, plan_.train.memory, arena_.data(), plan_.arena_bytes,
               nullptr) {
    store_.initialise(1);
    *at<float>("lr") = 1e-3F;
    const Schedule& s = plan_.train.schedule;
    const RandomStream random(1, 1);
    auto* images = at<float>("images");
    for (int64_t i = 0; i < s.buffer(s.find("images")).bytes / 4; ++i) {
      images[i] = static_cast<float>(random.normal(static_cast<uint64_t>(i)));
    }
    auto* labels = at<int32_t>("labels");
    for (int32_t i = 0; i < s.buffer(s.find("labels")).bytes / 4; ++i) labels[i] = i % 10;
  }

  const std::string& name() const { return name_; }
  int64_t arena_bytes() const { return plan_.arena_bytes; }

  double step() {
    const auto begin = std::chrono::steady_clock::now();
    executor_.run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  double loss_after_checked_steps() {
    for (int i = 0; i < kCheckedSteps; ++i) step();
    return *at<float>("loss");
  }
  double median_of_steps() {
    std::vector<double> seconds(kSteps);
    for (double& s : seconds) s = step();
    std::nth_element(seconds.begin(), seconds.begin() + kSteps / 2, seconds.end());
    return seconds[kSteps / 2];
  }

 private:
  static PlanRequest pinned(PlanRequest request, const std::vector<Setting>& settings) {
    request.numerics = Numerics{1, settings, true};
    return request;
  }
  template <class T>
  T* at(const std::string& name) {
    return static_cast<T*>(executor_.address(plan_.train.schedule.find(name)));
  }

  std::string name_;
  Plan plan_;
  Arena arena_;
  Executor executor_;
  WeightStore store_;
};

int run(const std::vector<std::string>& arguments) {
  require(arguments.size() >= 5, "needs MODEL BATCH WIDTH THREADS ROUNDS [KEY=VALUE ...]");
  ModelOptions model;
  model.batch = std::stoll(arguments[1]);
  model.width = std::stod(arguments[2]);
  set_thread_count(std::stoi(arguments[3]));
  for (size_t i = 5; i < arguments.size(); ++i) {
    const size_t sign = arguments[i].find('=');
    require(sign != std::string::npos, "needs KEY=VALUE, got ", arguments[i]);
    model.variants[arguments[i].substr(0, sign)] = arguments[i].substr(sign + 1);
  }
  PlanRequest request;
  request.forward = build_model(arguments[0], model);
  request.optimizer = {"sgd", {{"momentum", 0.9}}};
  request.min_snr_db = kAnySnr;
  PlanRequest apart = request;
  apart.without = {"sum_in_place"};

  std::vector<std::unique_ptr<Contestant>> all;
  const auto enter = [&](const char* name, const PlanRequest& r, const std::vector<Setting>& s) {
    try {
      all.push_back(std::make_unique<Contestant>(name, r, s));
    } catch (const UserError& e) {  // a network without such branches
      std::cerr << name << ": " << e.what() << '\n';
    }
  };
  enter("kept", request, {});
  enter("kept, sums apart", apart, {});
  for (const auto& [name, inside] : {std::pair{"inside again", Inside::again},
                                     std::pair{"inside from its end", Inside::inverted},
                                     std::pair{"inside and entry", Inside::with_entry}}) {
    enter(name, request, {{find_technique("invert"), invert_option(kAnySnr, inside)}});
  }
  std::vector<double> losses;
  for (const auto& c : all) {
    losses.push_back(c->loss_after_checked_steps());
    const bool agrees = std::abs(losses.back() - losses[0]) <= kTolerance * std::abs(losses[0]);
    require(agrees, c->name(), ": the loss is ", losses.back(), ", kept ", losses[0]);
  }
  for (int round = 0; round < std::stoi(arguments[4]); ++round) {
    double kept = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      const double seconds = all[i]->median_of_steps();
      if (i == 0) kept = seconds;
      std::cout << "{\"model\": \"" << arguments[0] << "\", \"batch\": " << model.batch
                << ", \"way\": \"" << all[i]->name() << "\", \"round\": " << round
                << ", \"ms\": " << seconds * 1e3 << ", \"ratio\": " << seconds / kept
                << ", \"arena_bytes\": " << all[i]->arena_bytes() << ", \"loss\": " << losses[i]
                << "}" << std::endl;
    }
  }
  return 0;
}

}  // namespace
}  // namespace thimble

int main(int argc, char** argv) {
  try {
    return thimble::run({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    std::cerr << "bench_invert: " << e.what() << '\n';
    return 1;
  }
}
