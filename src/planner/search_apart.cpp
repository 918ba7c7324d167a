#include "planner/search_apart.h"

#include <algorithm>
#include <limits>
#include <sstream>

#include "base/child_task.h"
#include "planner/recompute_text.h"

namespace thimble {
namespace {

// Streams do not read infinity.
constexpr double kEndless = std::numeric_limits<double>::max();

void put(std::ostream& out, const Candidate& c) {
  out << text_of(Numerics{c.microbatches, c.settings}) << ' ' << c.arena_bytes << ' ' << c.seconds
      << ' ' << std::min(c.snr_db, kEndless) << ' ' << (c.recompute ? 1 : 0) << ' ';
  if (c.recompute) write(out, *c.recompute);
  out << '\n';
}

std::string packed(const Candidates& all) {
  std::ostringstream out;
  out.precision(17);  // a double comes back to the bit
  put(out, all.plain);
  for (const Candidate& c : all.useful) put(out, c);
  return out.str();
}

Candidate take_candidate(std::istream& in) {
  std::string numerics;
  Candidate c;
  bool recomputes = false;
  in >> numerics >> c.arena_bytes >> c.seconds >> c.snr_db >> recomputes;
  ensure(static_cast<bool>(in), "the search's child sent no candidate");
  if (c.snr_db == kEndless) c.snr_db = std::numeric_limits<double>::infinity();
  Numerics read = parse_numerics(numerics);
  c.microbatches = read.microbatches;
  c.settings = std::move(read.settings);
  if (recomputes) c.recompute = read_recompute_plan(in);
  return c;
}

Candidates unpacked(const std::string& text) {
  std::istringstream in(text);
  Candidates all{take_candidate(in), {}};
  while (in >> std::ws && !in.eof()) all.useful.push_back(take_candidate(in));
  return all;
}

}  // namespace

Candidates search_apart(const PlanRequest& request, const Machine& machine) {
  ChildTask child([&] { return packed(find_candidates(request, machine)); });
  try {
    return unpacked(child.result());
  } catch (const ChildKilled& killed) {
    throw ChildKilled(str_cat("the search for a plan did not end: ", killed.what(),
                              "; hint: if the system had no memory left, the search needs a few "
                              "MiB beside the program before the arena exists"));
  }
}

}  // namespace thimble
