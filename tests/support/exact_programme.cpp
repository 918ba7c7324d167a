#include <map>
#include <sstream>

#include "base/bytes.h"
#include "memory/plan.h"
#include "ops/core/op.h"
#include "support/exact_solver.h"

// The schedule as a mixed-integer programme, after Checkmate (arXiv 1910.02653). Stage t ends with
// the t-th first run; before it each forward node that ran may run again, in the graph's order:
// these are the moments. Variables:
//
//   r<m>        binary: the second run of moment m takes place (1 for a first run)
//   l<m>_<x>    in [0, 1]: forward result x is there during moment m
//   p<m>_<k>    in [0, 1]: output k of moment m lies over an input
//
// Only r need be integers: where l must be 1, some r behind it is, and elsewhere 0 is best.
// Bytes are counted as in exact_solver.cpp, moment by moment.

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

}  // namespace

std::string ExactSolver::programme(const ExactSchedule& schedule, int64_t arena_bytes) const {
  struct Moment {
    const Node* node;
    size_t number;  // of the node
    bool again;
    size_t from, to;  // positions
  };
  std::vector<Moment> moments;
  size_t place = 0;
  for (const ExactSchedule::Run& r : schedule.runs) {
    if (r.again) continue;
    const Position& here = positions_[place];
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (may_run_again(n, here)) moments.push_back({&again_[n], n, true, place, place});
    }
    for (const auto& [node, to] : here.next) {
      if (node != r.node) continue;
      moments.push_back({&graph_.nodes[at(node)], at(node), false, place, at(to)});
      place = at(to);
      break;
    }
  }
  std::ostringstream goal, rows, bounds, binaries;
  goal.precision(12);
  const auto l = [](size_t m, int bit) { return str_cat("l", m, "_", bit); };
  const auto bits = [&](Mask mask, const auto& body) {
    for (int b = 0; b < static_cast<int>(bit_bytes_.size()); ++b) {
      if ((mask >> b & 1) != 0) body(b);
    }
  };
  const Mask all = (Mask{1} << bit_bytes_.size()) - 1;
  double fixed = other_seconds_;
  for (size_t m = 0; m < moments.size(); ++m) {
    const Moment& moment = moments[m];
    const Node& node = *moment.node;
    const std::string r = str_cat("r", m);
    if (moment.again) {
      goal << " + " << 1e6 * seconds_again_[moment.number] << ' ' << r;
      binaries << ' ' << r << '\n';
    } else {
      fixed += seconds_[moment.number];
      bounds << ' ' << r << " = 1\n";
    }
    Mask made = 0;
    for (TensorId t : node.outputs) {
      if (t != kNoTensor && bit_[at(t)] >= 0) made |= Mask{1} << bit_[at(t)];
    }
    const Mask inputs = inputs_of(node);
    bits(all, [&](int b) {
      // There, because it was there, or because it is made now.
      rows << ' ' << l(m, b);
      if (m > 0) rows << " - " << l(m - 1, b);
      if ((made >> b & 1) != 0) rows << " - " << r;
      rows << " <= 0\n";
      bounds << " 0 <= " << l(m, b) << " <= 1\n";
    });
    bits(inputs, [&](int b) {
      rows << ' ' << r << " - " << l(m, b) << " <= 0\n";
      rows << ' ' << r << " - " << l(m - 1, b) << " <= 0\n";
    });
    bits(made, [&](int b) { rows << ' ' << r << " - " << l(m, b) << " <= 0\n"; });
    // Bytes.
    const Position& from = positions_[moment.from];
    const Position& to = positions_[moment.to];
    int64_t own = round_up(4 * scratch_scalars_of(graph_, node), kAlignment);
    std::ostringstream bytes;
    bits(all, [&](int b) { bytes << " + " << bit_bytes_[at(b)] << ' ' << l(m, b); });
    std::map<TensorId, std::string> taken;  // by input: the outputs that may lie over it
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      const TensorId out = node.outputs[k];
      if (out == kNoTensor || !transient_[at(out)]) continue;
      if (bit_[at(out)] < 0) own += bytes_of(out);
      std::string choices;
      for (const InPlacePair& pair : find_op(node.op).in_place) {
        if (pair.output != k || pair.input >= node.inputs.size()) continue;
        const TensorId in = node.inputs[pair.input];
        if (in == kNoTensor || !transient_[at(in)] || bytes_of(in) != bytes_of(out)) continue;
        if (bit_[at(in)] < 0 && !(from.live[at(in)] && !to.live[at(in)])) continue;
        const std::string p = str_cat("p", m, "_", k, "_", pair.input);
        if (taken[in].find(p) != std::string::npos) continue;
        taken[in] += " + " + p;
        choices += " + " + p;
        bytes << " - " << bytes_of(out) << ' ' << p;
        rows << ' ' << p << " - " << r << " <= 0\n";
        if (bit_[at(in)] >= 0 && m + 1 < moments.size()) {
          rows << ' ' << p << " + " << l(m + 1, bit_[at(in)]) << " <= 1\n";
        }
        bounds << " 0 <= " << p << " <= 1\n";
      }
      if (!choices.empty()) rows << choices << " <= 1\n";
    }
    for (const auto& [in, uses] : taken) rows << uses << " <= 1\n";
    bytes << " + " << own << ' ' << r;
    rows << bytes.str() << " <= " << arena_bytes - persistent_bytes_ - from.bytes << '\n';
  }
  return str_cat("Minimize\n time:", goal.str(), " + ", 1e6 * fixed, " one\nSubject To\n",
                 rows.str(), "Bounds\n one = 1\n", bounds.str(), "Binaries\n", binaries.str(),
                 "End\n");
}

}  // namespace thimble
