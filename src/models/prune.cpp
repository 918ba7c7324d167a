#include "models/prune.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace thimble {
namespace {

NetworkLayer& layer_called(Network& network, const std::string& name) {
  for (NetworkLayer& layer : network.layers) {
    if (layer.name == name) return layer;
  }
  throw UserError(str_cat("the network has no layer ", name));
}

// Entries `kept` along an axis of values in row-major order.
std::vector<float> entries(const std::vector<float>& values, const Shape& shape, int axis,
                           const std::vector<int64_t>& kept) {
  int64_t inner = 1;
  for (int d = axis + 1; d < shape.rank(); ++d) inner *= shape[d];
  const int64_t slice = shape[axis] * inner;
  std::vector<float> left;
  left.reserve(values.size() / static_cast<size_t>(shape[axis]) * kept.size());
  for (auto at = values.begin(); at != values.end(); at += slice) {
    for (int64_t k : kept) left.insert(left.end(), at + k * inner, at + (k + 1) * inner);
  }
  return left;
}

// Which channels they are makes no difference to shapes.
Pruning first_channels(const ChannelGroup& group, double ratio) {
  Pruning pruning = {group, std::vector<int64_t>(static_cast<size_t>(kept_channels(group, ratio)))};
  std::iota(pruning.kept.begin(), pruning.kept.end(), 0);
  return pruning;
}

const BlockMemory& block_called(const MemoryProfile& profile, const std::string& name) {
  for (const BlockMemory& block : profile.blocks) {
    if (block.name == name) return block;
  }
  throw UserError(str_cat("the profile has no block ", name));
}

}  // namespace

Network pruned(Network network, const std::vector<Pruning>& prunings) {
  for (const auto& [group, kept] : prunings) {
    require(group.refusal.empty(), "the channels of ", group.name,
            " cannot be removed: ", group.refusal);
    ensure(!kept.empty() && kept.front() >= 0 && kept.back() < group.channels,
           "channels to keep of ", group.name, " are none of its ", group.channels);
    const auto count = static_cast<int64_t>(kept.size());
    for (const std::string& name : group.makers) {
      layer_called(network, name).attributes.set("out_channels", count);
    }
    for (const std::string& name : group.depthwise) {
      layer_called(network, name).attributes.set("out_channels", count);
      layer_called(network, name).attributes.set("groups", count);
    }
    for (const ChannelCut& cut : group.cuts) {
      for (NetworkParameter& p : network.parameters) {
        if (p.name == cut.parameter) p.shape[cut.axis] = count;
      }
    }
  }
  return network;
}

std::vector<float> pruned_values(const NetworkParameter& whole, std::vector<float> values,
                                 const std::vector<Pruning>& prunings) {
  Shape shape = whole.shape;
  for (const auto& [group, kept] : prunings) {
    for (const ChannelCut& cut : group.cuts) {
      if (cut.parameter != whole.name) continue;
      values = entries(values, shape, cut.axis, kept);
      shape[cut.axis] = static_cast<int64_t>(kept.size());
    }
  }
  return values;
}

int64_t kept_channels(const ChannelGroup& group, double ratio) {
  const double removed = static_cast<double>(group.channels) * ratio;
  return std::max<int64_t>(1, group.channels - std::llround(removed));
}

std::vector<int64_t> largest(const std::vector<double>& scores, int64_t count) {
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  order.resize(static_cast<size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<BlockRatio> smallest_ratios(
    const Network& network, const std::vector<PrunableBlock>& blocks, const MemoryTarget& target,
    const std::function<MemoryProfile(const Network&)>& profile) {
  std::vector<BlockRatio> ratios;
  std::vector<Pruning> done;  // of the blocks before
  const MemoryProfile whole = profile(network);
  for (const PrunableBlock& block : blocks) {
    int64_t most = 1;  // steps of the ratio: a channel of the widest map
    for (const ChannelGroup& group : block.groups) most = std::max(most, group.channels);
    const auto with = [&](int64_t removed) {
      std::vector<Pruning> all = done;
      const double ratio = static_cast<double>(removed) / static_cast<double>(most);
      for (const ChannelGroup& g : block.groups) all.push_back(first_channels(g, ratio));
      return all;
    };
    const auto bytes_without = [&](int64_t removed) {
      return target.of(block_called(profile(pruned(network, with(removed))), block.name));
    };
    int64_t enough = most - 1;  // the smallest number known to keep to the target
    BlockRatio found;
    found.reached = bytes_without(enough) <= target.bytes;
    for (int64_t least = 0; found.reached && least < enough;) {
      const int64_t middle = (least + enough) / 2;
      if (bytes_without(middle) <= target.bytes) {
        enough = middle;
      } else {
        least = middle + 1;
      }
    }
    found.ratio = static_cast<double>(enough) / static_cast<double>(most);
    found.before = block_called(whole, block.name);
    done = with(enough);
    ratios.push_back(found);
  }
  const MemoryProfile after = profile(pruned(network, done));
  for (size_t i = 0; i < blocks.size(); ++i) ratios[i].after = block_called(after, blocks[i].name);
  return ratios;
}

}  // namespace thimble
