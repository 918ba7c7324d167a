#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace thimble {

// What a technique does to the numbers; the later, the more.
enum class Promise : uint8_t { bit_exact, same_math, approximate };
const char* name_of(Promise promise);

// A graph rewritten, or one line for people that says why it cannot be.
struct Rewrite {
  std::optional<Graph> graph;
  std::string refusal;
  // Predicted, of the noisiest tensor in it that stands for one that was not kept; infinite where
  // none has errors of its own.
  double snr_db = std::numeric_limits<double>::infinity();
};

// A way to train in fewer bytes or less time. src/transforms/<name>.cpp defines
// `const Technique& technique_<name>()`; the planner, `--allow` and `thimble list` find it there.
struct Technique {
  // Which graph `apply` takes.
  enum class Stage : uint8_t {
    forward,   // the forward graph of one microbatch, before its gradients
    training,  // forward, backward and update, before microbatches are summed
    last,      // behind everything else: what is kept from forward to backward is settled
    searched   // driven by functions of its own, by the search or by the user; `apply` is empty
  };

  std::string name;
  std::string summary;  // one sentence
  std::string paper;    // where it comes from; may be empty
  Stage stage = Stage::searched;
  // Under this name a user allows it where it is approximate, and this is what he accepts. Empty:
  // the technique is never approximate.
  std::string allowance = {};
  std::string accepts = {};
  std::function<Promise(const Graph& forward)> promise;
  std::vector<int64_t> options = {1};  // values that the planner may try, beside leaving it out
  bool free = false;                   // costs no time: always used, behind those chosen
  bool uses_storage = false;           // pages to a file: only where the user names a folder
  bool evaluates = false;              // of stage forward: also rewrites what evaluates the model
  // The option with this least ratio of signal to noise, in dB (--min-snr). null: it has none.
  std::function<int64_t(int64_t option, int64_t snr_db)> with_snr_db = {};
  std::function<Rewrite(const Graph&, int64_t option)> apply = {};
  // "row_bands: 8 a map": what was chosen, for people. null: the name, and the option beside 1.
  std::function<std::string(int64_t option)> describe = {};
};

// All techniques of src/transforms, in the order of their files' names.
const std::vector<const Technique*>& techniques();
const Technique* find_technique(const std::string& name);  // null when there is none

// A technique that is used, and how.
struct Setting {
  const Technique* technique = nullptr;
  int64_t option = 1;
  friend bool operator==(const Setting&, const Setting&) = default;
};
std::string text_of(const Setting& setting);

}  // namespace thimble
