#include "transforms/compress_saved.h"
#include "transforms/core/technique.h"

namespace thimble {

// A technique of its own, because it is faster and smaller than 8 bits, always: a planner that may
// use both takes this one, and who allows 8 bits has not accepted sixteen times the error.
const Technique& technique_compress_saved_4bit() {
  static const Technique technique = {
      .name = "compress_saved_4bit",
      .summary = "What backward reads again waits in groups of 4 bits, rounded at random",
      .paper = "ActNN, arXiv 2104.14129",
      .stage = Technique::Stage::last,
      .allowance = "compress-saved-4bit",
      .accepts = "keep activations for the backward pass in 4 bits, rounded at random",
      .promise = [](const Graph&) { return Promise::approximate; },
      .apply = [](const Graph& training, int64_t) { return try_compress_saved(training, 4); }};
  return technique;
}

}  // namespace thimble
