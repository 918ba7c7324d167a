#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/setup.h"

namespace thimble {

// Of each channel that a layer reads, the mean l2 norm of its pixels on training pictures that are
// not augmented, by the layer's name. The network is evaluated, with first weights as for training.
struct ChannelNorms {
  std::map<std::string, std::vector<double>> of;
  int64_t examples = 0;  // that were looked at: the next whole batches
};
ChannelNorms channel_norms(const Setup& setup, const std::vector<std::string>& layers,
                           int64_t examples);

}  // namespace thimble
