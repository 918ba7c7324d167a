#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"

// Which saved tensors are rebuilt in the backward pass, and how: what transforms/invert.h decides
// before it rewrites anything.

namespace thimble {

// Of a tensor that one float operation made, in dB: noise of some 2^-23 of the signal.
inline constexpr int64_t kFloatSnrDb = 140;

inline constexpr int32_t kNoBranch = -1;

// How a tensor that is not kept is made once more.
struct Way {
  int32_t node = -1;           // the forward node that reads it, or made it
  size_t input = 0;            // of that node
  bool again = false;          // the node runs once more; otherwise its input is inverted
  int32_t branch = kNoBranch;  // all of this branch up to the node runs once more
  double loss_db = 0;          // of the inverse; see ops/core/op.h
  bool rounds = false;
  std::vector<TensorId> reads = {};
};

// What couplings add to a stream. It runs once more as a whole, for what comes out of it; what lies
// inside is then rebuilt from that, layer by layer.
struct RebuiltBranch {
  std::vector<int32_t> nodes;  // forward, in order
  std::vector<int32_t> sums;   // of what comes out: they stand together behind it
  std::vector<TensorId> entries;
  // Entries that are not kept beside it, but had from inside once more when it was inverted down to
  // there: as noisy as what is inside.
  std::map<TensorId, Way> after;
};

struct Ways {
  std::map<TensorId, Way> of;  // by tensor that is not kept
  std::vector<RebuiltBranch> branches;
  double least_snr_db = 0;  // predicted, of the noisiest; infinite where nothing is computed
  std::string refusal;      // of the first inverse that was asked for in vain
};

// What lies inside a coupling's branch.
enum class Inside : uint8_t {
  again,      // is made by running it again, and held until its gradient has read it
  inverted,   // is had from what comes out of it, while gradients pass
  with_entry  // also what goes into it, from then on
};

struct WaysWanted {
  double least_snr_db = 0;  // minus infinity: any
  bool sums_alone = false;  // only what one cheap node cannot make again from kept tensors
  Inside inside = Inside::again;
};

// Works from the loss down, so that what lies behind a tensor is settled first; each choice stands
// only if everything can still be made from what is kept.
Ways choose_ways(const Graph& training, const WaysWanted& wanted);

}  // namespace thimble
