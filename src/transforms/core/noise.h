#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "transforms/core/ways.h"

namespace thimble {

// Predicts the noise of rebuilt tensors: each operation on the way adds float rounding, each
// division makes what there is larger (ops/core/signal_loss.h), and a term of a sum is as far off
// as the whole sum.
class NoiseModel {
 public:
  // `powers`: of the forward pass, by tensor, as `expected_powers` or as measured. `chained_share`:
  // of what a leaky ReLU loses, how much more that is of noise that it finds.
  NoiseModel(const Ways& ways, const std::vector<double>& powers, double chained_share = 0);

  // Noise by signal, as powers: of the noisiest tensor. Infinite when one is made from itself.
  double largest();
  // After the ways of `changed` were chosen anew, while `Ways::branches` stayed as they were: of
  // the noisiest among these and what depends on them.
  double largest_of(const std::vector<TensorId>& changed);
  // Ways of `changed` were taken back. Returns these and what depends on them.
  std::set<TensorId> forget(const std::vector<TensorId>& changed);
  // Of `t` as it is first had again.
  double of(TensorId t) { return ask(t, INT32_MAX, kNoBranch).total(); }

 private:
  // What a branch that runs again is given is in what comes out of it, and gone again where it is
  // inverted down to there: layers make only noise of their own larger.
  struct Noise {
    double carried = 0;
    double own = 0;
    double total() const { return carried + own; }
  };
  struct Key {
    TensorId tensor;
    bool after;
    auto operator<=>(const Key&) const = default;
  };

  Noise ask(TensorId t, int32_t reader, int32_t branch);
  Noise find(const Key& key, const Way& way);
  double own_of_difference(TensorId t, const Way& way, int32_t branch);
  void note_reads(TensorId t, const Way& way);
  // The branch that the way leads through the inside of.
  int32_t branch_of(const Way& way) const;
  const RebuiltBranch& branch_at(int32_t branch) const;

  const Ways& ways_;
  const std::vector<double>& powers_;
  double chained_share_;
  std::map<int32_t, int32_t> inside_;     // by node: its branch
  std::map<TensorId, int32_t> entry_of_;  // by tensor that is had once more: of this branch
  std::map<Key, Noise> known_;
  std::map<TensorId, std::set<TensorId>> readers_;  // by tensor: what was ever made from it
};

}  // namespace thimble
