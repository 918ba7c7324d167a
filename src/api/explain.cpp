#include "api/explain.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/names.h"
#include "planner/account.h"

namespace thimble {
namespace {

struct Allowance {
  std::string name, accepts;
};

// Those that would change the result of this model and are not allowed yet.
std::vector<Allowance> not_allowed(const PlanRequest& request) {
  std::vector<Allowance> all;
  for (const Technique* t : techniques()) {
    const auto is_it = [&](const auto& other) { return other == t->allowance; };
    const auto& without = request.without;
    if (std::find(without.begin(), without.end(), t->name) != without.end()) continue;
    if (t->allowance.empty() || std::any_of(request.allow.begin(), request.allow.end(), is_it) ||
        t->promise(request.forward) != Promise::approximate) {
      continue;
    }
    if (std::none_of(all.begin(), all.end(), [&](const Allowance& a) { return is_it(a.name); })) {
      all.push_back({t->allowance, t->accepts});
    }
  }
  return all;
}

// What the other options rule out is no way out.
bool goes_with(TrainOptions options, const Allowance& added) {
  options.allow.push_back(added.name);
  try {
    prepare(std::move(options), true);
    return true;
  } catch (const UserError&) {
    return false;
  }
}

AllowanceTrial trial(TrainOptions options, const std::vector<Allowance>& added) {
  std::vector<std::string> names, accepts;
  for (const Allowance& a : added) {
    names.push_back(a.name);
    accepts.push_back(a.accepts);
  }
  options.allow.insert(options.allow.end(), names.begin(), names.end());
  Setup setup = prepare(options, true);
  const Plan plan = make_plan(std::move(setup.request), setup.machine);
  return {names, accepts, plan.fits, plan.process_bytes, plan.predicted_step_seconds};
}

}  // namespace

void try_allowances(PlanReport& report, const TrainOptions& options) {
  // Techniques lower the arena alone.
  if (report.fits || report.fixed_bytes >= report.budget_bytes) return;
  std::vector<Allowance> all = not_allowed(prepare(options, true).request);
  std::erase_if(all, [&](const Allowance& a) { return !goes_with(options, a); });
  if (all.empty()) return;
  const AllowanceTrial together = trial(options, all);
  if (!together.fits || all.size() == 1) {
    report.allowances.push_back(together);
    return;
  }
  for (const Allowance& a : all) {
    AllowanceTrial alone = trial(options, {a});
    if (alone.fits) report.allowances.push_back(std::move(alone));
  }
  if (report.allowances.empty()) report.allowances.push_back(together);
}

void explain(PlanReport& report, const TrainOptions& options, const Chosen& chosen) {
  const Setup setup = prepare(options, true);
  const Candidate candidate = {chosen.microbatches, chosen.settings, chosen.recompute};
  for (Share& s : account_for(setup.request, candidate, chosen.order, setup.machine)) {
    report.uses.push_back({std::move(s.name), std::move(s.where), s.saved_bytes, s.cost_seconds});
  }
  try_allowances(report, options);
}

}  // namespace thimble
