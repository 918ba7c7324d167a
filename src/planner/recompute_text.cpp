#include "planner/recompute_text.h"

#include <istream>
#include <ostream>
#include <vector>

#include "base/error.h"

namespace thimble {
namespace {

// More than any network has: a length that is not one must not become an allocation.
constexpr int64_t kMostItems = 1'000'000;

template <class List, class Put>
void put_list(std::ostream& out, const List& list, const Put& put) {
  out << list.size() << ' ';
  for (const auto& item : list) put(item);
}

int64_t take_number(std::istream& in, int64_t most) {
  int64_t value = -1;
  in >> value;
  require(static_cast<bool>(in) && value >= 0 && value <= most,
          "what is to be run again is told by half a list");
  return value;
}

int32_t take_index(std::istream& in) { return static_cast<int32_t>(take_number(in, kMostItems)); }

template <class Take>
void take_list(std::istream& in, const Take& take) {
  for (int64_t left = take_number(in, kMostItems); left > 0; --left) take();
}

}  // namespace

void write(std::ostream& out, const RecomputePlan& plan) {
  const auto number = [&](int64_t value) { out << value << ' '; };
  put_list(out, plan.stage_begins, number);
  put_list(out, plan.lean, number);
  put_list(out, plan.actions, [&](const RecomputePlan::Action& a) {
    number(a.backward ? 1 : 0);
    number(a.stage);
  });
  put_list(out, plan.runs, [&](const Run& r) {
    number(static_cast<int64_t>(r.kind));
    number(r.node);
  });
}

RecomputePlan read_recompute_plan(std::istream& in) {
  RecomputePlan plan;
  take_list(in, [&] { plan.stage_begins.push_back(take_index(in)); });
  take_list(in, [&] { plan.lean.push_back(take_number(in, 1) != 0); });
  take_list(in, [&] {
    const bool backward = take_number(in, 1) != 0;
    plan.actions.push_back({backward, take_index(in)});
  });
  take_list(in, [&] {
    const auto kind = static_cast<Run::Kind>(take_number(in, 2));
    plan.runs.push_back({kind, take_index(in)});
  });
  return plan;
}

void check_fits(const RecomputePlan& plan, const Graph& training) {
  const auto nodes = static_cast<int32_t>(training.nodes.size());
  std::vector<bool> runs(training.nodes.size());
  for (const Run& r : plan.runs) {
    require(r.node < nodes, "node ", r.node, " is to run, and the network has ", nodes);
    if (r.kind == Run::Kind::first) runs[static_cast<size_t>(r.node)] = true;
  }
  for (size_t n = 0; n < runs.size() && !plan.runs.empty(); ++n) {
    const Node& node = training.nodes[n];
    const bool needed = node.phase == Phase::forward || node.gradient_of >= 0;
    require(!needed || runs[n], "node ", n, " never runs");
  }
  const auto stages = static_cast<int32_t>(plan.lean.size());
  for (const auto& a : plan.actions) {
    require(a.stage < stages, "stage ", a.stage, " is to run, and there are ", stages);
  }
  const auto forward = static_cast<int32_t>(forward_nodes(training).size());
  for (int32_t begin : plan.stage_begins) {
    require(begin <= forward, "a stage begins at ", begin, " of ", forward, " forward nodes");
  }
}

}  // namespace thimble
