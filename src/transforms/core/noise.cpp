#include "transforms/core/noise.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/core/signal_loss.h"

namespace thimble {
namespace {

const double kFresh = std::pow(10, -static_cast<double>(kFloatSnrDb) / 10);  // of one operation
// More noise makes no difference; endlessly much has what is made from itself.
constexpr double kMost = 1e250;
constexpr double kLeast = 1e-12;  // power of a signal
constexpr double kEndless = std::numeric_limits<double>::infinity();

// What noise of its streams becomes in a branch, by the same measure: norms take away the mean of
// streams that leaky ReLUs were added to, a large share of their power, and leave the noise.
// Measured of hybrids of 4 to 16 blocks (experiments/reversible): with 2.5 the theory is near to
// fresh ones, with anchors still some dB above.
constexpr double kThroughBranch = 2.5;

double factor_of(double db) { return std::pow(10, db / 10); }

}  // namespace

NoiseModel::NoiseModel(const Ways& ways, const std::vector<double>& powers, double chained_share)
    : ways_(ways), powers_(powers), chained_share_(chained_share) {
  for (size_t b = 0; b < ways_.branches.size(); ++b) {
    for (int32_t n : ways_.branches[b].nodes) inside_[n] = static_cast<int32_t>(b);
    for (const auto& [t, way] : ways_.branches[b].after) entry_of_[t] = static_cast<int32_t>(b);
  }
  for (const auto& [t, way] : ways_.of) note_reads(t, way);
}

void NoiseModel::note_reads(TensorId t, const Way& way) {
  for (TensorId in : way.reads) readers_[in].insert(t);
}

std::set<TensorId> NoiseModel::forget(const std::vector<TensorId>& changed) {
  std::set<TensorId> affected(changed.begin(), changed.end());
  std::vector<TensorId> open(affected.begin(), affected.end());
  while (!open.empty()) {
    const auto readers = readers_.find(open.back());
    open.pop_back();
    if (readers == readers_.end()) continue;
    for (TensorId t : readers->second) {
      if (affected.insert(t).second) open.push_back(t);
    }
  }
  for (TensorId t : affected) known_.erase({t, false});
  return affected;
}

double NoiseModel::largest_of(const std::vector<TensorId>& changed) {
  for (TensorId t : changed) {
    if (const auto way = ways_.of.find(t); way != ways_.of.end()) note_reads(t, way->second);
  }
  double most = 0;
  for (TensorId t : forget(changed)) {
    const auto way = ways_.of.find(t);
    if (way != ways_.of.end()) most = std::max(most, find({t, false}, way->second).total());
  }
  return most;
}

double NoiseModel::largest() {
  double most = 0;
  for (const auto& [t, way] : ways_.of) most = std::max(most, find({t, false}, way).total());
  for (const RebuiltBranch& branch : ways_.branches) {
    for (const auto& [t, way] : branch.after) {
      most = std::max(most, find({t, true}, way).total());
    }
  }
  return most;
}

int32_t NoiseModel::branch_of(const Way& way) const {
  if (way.branch != kNoBranch) return way.branch;
  const auto it = inside_.find(way.node);
  return it == inside_.end() ? kNoBranch : it->second;
}

const RebuiltBranch& NoiseModel::branch_at(int32_t branch) const {
  return ways_.branches[static_cast<size_t>(branch)];
}

// `branch`: of who asks.
NoiseModel::Noise NoiseModel::ask(TensorId t, int32_t reader, int32_t branch) {
  const auto entry = entry_of_.find(t);
  const bool after = entry != entry_of_.end() && reader <= branch_at(entry->second).nodes.back();
  const auto way = ways_.of.find(t);
  if (!after && way == ways_.of.end()) return {};
  const Way& used = after ? branch_at(entry->second).after.at(t) : way->second;
  const Noise noise = find({t, after}, used);
  if (branch != kNoBranch) {
    if (branch_of(used) == branch) return noise;
    const std::vector<TensorId>& entries = branch_at(branch).entries;
    if (std::find(entries.begin(), entries.end(), t) != entries.end()) return {noise.total(), 0};
  }
  return {0, noise.total()};
}

// What a sum and its terms are off by, and rounding as coarse as the sum is large.
double NoiseModel::own_of_difference(TensorId t, const Way& way, int32_t branch) {
  const auto power = [&](TensorId of) {
    return std::max(powers_[static_cast<size_t>(of)], kLeast);
  };
  double own = 0, largest = 0;
  for (size_t i = 0; i < way.reads.size(); ++i) {
    const TensorId in = way.reads[i];
    const double share = i == 0 ? 1 : kThroughBranch;  // of the sum; of the terms
    own += ask(in, way.node, branch).own * power(in) * share;
    largest = std::max(largest, power(in));
  }
  return (own + kFresh * largest) / power(t);
}

NoiseModel::Noise NoiseModel::find(const Key& key, const Way& way) {
  const auto [it, fresh] = known_.try_emplace(key, Noise{0, kEndless});
  if (!fresh) return it->second;
  Noise sum;
  if (way.branch != kNoBranch) {
    for (TensorId in : way.reads) {
      sum.carried = std::max(sum.carried, ask(in, INT32_MAX, kNoBranch).total());
    }
  } else {
    const int32_t branch = branch_of(way);
    for (TensorId in : way.reads) {
      const Noise noise = ask(in, way.node, branch);
      sum.carried = std::max(sum.carried, noise.carried);
      sum.own = std::max(sum.own, noise.own);
    }
    if (way.rounds) {
      const double leaky_db = std::max(0.0, way.loss_db - kNormLossDb);  // a norm scales alike
      const double found = sum.own * factor_of(chained_share_ * leaky_db);
      sum.own = (found + kFresh) * factor_of(way.loss_db);
    }
    if (way.rounds && way.loss_db == 0) sum.own = own_of_difference(key.tensor, way, branch);
  }
  for (double* noise : {&sum.carried, &sum.own}) {
    if (std::isfinite(*noise)) *noise = std::min(*noise, kMost);
  }
  return known_[key] = sum;
}

}  // namespace thimble
