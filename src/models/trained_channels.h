#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "graph/graph.h"

namespace thimble {

// The channels that a rule of `with_trained` ends in.
struct Channels {
  bool is_share = false;
  int64_t first = 0;  // [8:24]: 8 and 24; [1/4]: 1 and 4
  int64_t second = 0;
};
struct PartOfRule {
  std::string names;
  std::optional<Channels> channels = {};
};

// Cuts "stem.weight[8:24]" in two. Throws UserError where the brackets hold something else.
PartOfRule part_of(const std::string& rule);

// Those channels of weight `t`, an empty range for all of them. Throws UserError when it has no
// such channels, or none that can be told apart.
ChannelRange range_of(const Graph& graph, TensorId t, const Channels& channels,
                      const std::string& rule);

// A number without sign; nothing for anything else.
std::optional<int64_t> count_of(std::string_view text);

}  // namespace thimble
