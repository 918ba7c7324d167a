#pragma once

#include <string>

#include "ops/core/builder.h"
#include "support/check_net.h"

namespace thimble {

inline Attributes conv(int64_t out_channels, int64_t kernel, Attributes more = {}) {
  const int64_t same = kernel / 2;
  Attributes all = {{"out_channels", out_channels},
                    {"kernel", both(kernel)},
                    {"padding", ints({same, same, same, same})}};
  for (const auto& [name, value] : more) all.set(name, value);
  return all;
}
inline Attributes depthwise(int64_t channels, int64_t kernel, Attributes more = {}) {
  more.set("groups", channels);
  return conv(channels, kernel, more);
}
inline const Attributes::Entry kBias = {"bias", int64_t{1}};

// The layout of a feature map in the training schedule of one backend.
inline Layout layout_of(const Graph& graph, const std::string& backend, const std::string& tensor) {
  const ArenaRun run(graph, backend);
  return run.schedule().buffer(run.schedule().find(tensor)).layout;
}

// Whether the map carries channels that the tensor does not have.
inline bool is_padded(const Graph& graph, const std::string& backend, const std::string& tensor) {
  return layout_of(graph, backend, tensor).elements >
         graph.tensor(graph.find(tensor)).shape.elements();
}

}  // namespace thimble
