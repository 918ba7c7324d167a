#pragma once

#include <optional>
#include <string>
#include <vector>

#include "transforms/core/technique.h"
#include "transforms/recompute.h"

namespace thimble {

// What decides the numbers of a run: fixed when it begins, the same when it is resumed.
struct Numerics {
  int64_t microbatches = 1;       // of a step
  std::vector<Setting> settings;  // techniques that are not bit_exact, in the table's order
  // Where a technique rounds what waits for backward, which tensors those are follows from what
  // else is done: then `settings` are all, and this is what runs again (or nothing).
  bool pinned = false;
  std::optional<RecomputePlan> recompute = {};
  friend bool operator==(const Numerics&, const Numerics&) = default;
};

// "microbatch=4,bf16=1", and behind " runs " the rest of what is pinned
std::string text_of(const Numerics& numerics);
// UserError when the text is not of this form or names a technique that does not exist.
Numerics parse_numerics(const std::string& text);

}  // namespace thimble
