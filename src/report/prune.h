#pragma once

#include "thimble/thimble.h"

namespace thimble {

// A line for each block, what the whole network takes, and what to do next.
std::string prune_text(const PruneReport& report);

std::string to_json(const PruneReport& report);

}  // namespace thimble
