#include "planner/search_apart.h"

#include <sstream>

#include "base/child_task.h"

namespace thimble {
namespace {

// Numbers in order, each behind a space; a list behind its length.
template <class List, class Put>
void put_list(std::ostream& out, const List& list, const Put& put) {
  out << list.size() << ' ';
  for (const auto& item : list) put(item);
}

void put(std::ostream& out, const RecomputePlan& plan) {
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

void put(std::ostream& out, const Candidate& c) {
  out << text_of(Numerics{c.microbatches, c.settings}) << ' ' << c.arena_bytes << ' ' << c.seconds
      << ' ' << (c.recompute ? 1 : 0) << ' ';
  if (c.recompute) put(out, *c.recompute);
  out << '\n';
}

std::string packed(const Candidates& all) {
  std::ostringstream out;
  out.precision(17);  // a double comes back to the bit
  put(out, all.plain);
  put_list(out, all.useful, [&](const Candidate& c) { put(out, c); });
  return out.str();
}

int64_t take_number(std::istream& in) {
  int64_t value = 0;
  in >> value;
  ensure(static_cast<bool>(in), "the search's child sent half a list");
  return value;
}

template <class Take>
void take_list(std::istream& in, const Take& take) {
  for (int64_t left = take_number(in); left > 0; --left) take();
}

RecomputePlan take_plan(std::istream& in) {
  RecomputePlan plan;
  const auto index = [&] { return static_cast<int32_t>(take_number(in)); };
  take_list(in, [&] { plan.stage_begins.push_back(index()); });
  take_list(in, [&] { plan.lean.push_back(take_number(in) != 0); });
  take_list(in, [&] {
    const bool backward = take_number(in) != 0;
    plan.actions.push_back({backward, index()});
  });
  take_list(in, [&] {
    const auto kind = static_cast<Run::Kind>(take_number(in));
    plan.runs.push_back({kind, index()});
  });
  return plan;
}

Candidate take_candidate(std::istream& in) {
  std::string numerics;
  Candidate c;
  in >> numerics >> c.arena_bytes >> c.seconds;
  ensure(static_cast<bool>(in), "the search's child sent no candidate");
  Numerics read = parse_numerics(numerics);
  c.microbatches = read.microbatches;
  c.settings = std::move(read.settings);
  if (take_number(in) != 0) c.recompute = take_plan(in);
  return c;
}

Candidates unpacked(const std::string& text) {
  std::istringstream in(text);
  Candidates all{take_candidate(in), {}};
  take_list(in, [&] { all.useful.push_back(take_candidate(in)); });
  return all;
}

}  // namespace

Candidates search_apart(const PlanRequest& request, const Machine& machine) {
  ChildTask child([&] { return packed(find_candidates(request, machine)); });
  return unpacked(child.result());
}

}  // namespace thimble
