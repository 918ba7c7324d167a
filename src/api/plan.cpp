#include <optional>
#include <sstream>
#include <utility>

#include "api/explain.h"
#include "runtime/setup.h"

namespace thimble {
namespace {

void print_places(std::ostream& out, const Program& program) {
  out << program.schedule;
  out << "arena of " << program.schedule.name << ": " << program.memory.arena_bytes
      << " bytes, lower bound " << program.memory.lower_bound_bytes << '\n';
  for (size_t i = 0; i < program.memory.blocks.size(); ++i) {
    const Block& b = program.memory.blocks[i];
    out << "  [" << b.range.first << ", " << b.range.last << ") at " << b.offset << " + " << b.bytes
        << ' ' << name_of(b.category) << ' ' << name_of_block(program.schedule, program.memory, i)
        << '\n';
  }
}

}  // namespace

PlanReport plan(const TrainOptions& options) {
  Setup setup = prepare(options, true);
  std::optional<Plan> plan = make_plan(std::move(setup.request), setup.machine);
  PlanReport report = report_of(*plan);
  const Chosen chosen = std::move(plan->chosen);
  plan.reset();  // its kernels are not those of the plans that `explain` tries
  explain(report, options, chosen);
  return report;
}

std::string describe_plan(const TrainOptions& options) {
  Setup setup = prepare(options, true);
  const Plan plan = make_plan(std::move(setup.request), setup.machine);
  std::ostringstream out;
  print_places(out, plan.train);
  print_places(out, plan.evaluate);
  return out.str();
}

}  // namespace thimble
