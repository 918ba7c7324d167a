#include "models/prune.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

#include "api/blocks.h"
#include "api/channel_norms.h"
#include "base/bytes.h"
#include "base/names.h"
#include "runtime/network_file.h"
#include "runtime/safetensors.h"

namespace thimble {
namespace {

int64_t parameters_of(const Network& network) {
  int64_t count = 0;
  for (const NetworkParameter& p : network.parameters) {
    if (p.role == Role::weight) count += p.shape.elements();
  }
  return count;
}

// The network that is pruned, and how it will be trained.
class Pruner {
 public:
  Pruner(const Setup& setup, const ModelChoice& trained, const PruneChoice& choice)
      : source_(find_source(setup.options.model, setup.model_file)),
        trained_(trained),
        choice_(choice),
        network_(source_.network ? *source_.network : network_of(source_, setup.options.model)),
        blocks_(blocks_of(network_)),
        groups_(layer_groups(network_)),
        whole_(profile(network_)) {
    require(!blocks_.empty(), network_.name,
            " has no blocks (residual, inverted, separable or joined) whose hidden channels could "
            "be removed");
    target_ = choice.target_bytes > 0 ? MemoryTarget{choice.target_bytes}
                                      : MemoryTarget{whole_.cumulative_bytes, true};
  }

  const Network& network() const { return network_; }
  const MemoryProfile& whole() const { return whole_; }
  const MemoryTarget& target() const { return target_; }

  // With what is trained beside it, and only that trained.
  MemoryProfile profile(const Network& network) const {
    ModelChoice choice = trained_;
    choice.norm = "frozen";  // no batch: the profile is of one example
    choice.variants.clear();
    choice.width = 1;
    const BuiltModel built = build({model_of(network), network, {}}, choice, 1);
    return memory_profile(built.forward, groups_);
  }

  // Of the blocks that were asked for. Throws UserError where nothing may be removed of one.
  std::vector<PrunableBlock> prunable_blocks() const {
    const std::vector<ChannelGroup> all = channel_groups(network_);
    std::vector<PrunableBlock> prunable;
    for (size_t b = 0; b < blocks_.size(); ++b) {
      if (!is_wanted(b)) continue;
      PrunableBlock block = {blocks_[b].name, hidden_channels(all, network_, blocks_, b)};
      std::string why = "no channels stay within it";
      for (const ChannelGroup& g : block.groups) {
        if (!g.refusal.empty()) why = str_cat(g.name, ": ", g.refusal);
      }
      std::erase_if(block.groups, [](const ChannelGroup& g) { return !g.refusal.empty(); });
      require(!block.groups.empty(), "block ", block.name, " has no channels to remove: ", why,
              "; hint: name others with --blocks");
      prunable.push_back(std::move(block));
    }
    require(!prunable.empty(), "no ", choice_.blocks == "auto" ? "sensitive " : "",
            "block takes more than ", format_bytes(target_.bytes),
            ": nothing to remove; hint: a smaller --to, --blocks all, or name them");
    return prunable;
  }

 private:
  const BlockMemory& memory_of(size_t block) const {
    const auto it = std::find_if(whole_.blocks.begin(), whole_.blocks.end(),
                                 [&](const auto& m) { return m.name == blocks_[block].name; });
    ensure(it != whole_.blocks.end(), "no memory of block ", blocks_[block].name);
    return *it;
  }

  bool is_wanted(size_t block) const {
    const BlockMemory& memory = memory_of(block);
    const bool takes_more = target_.of(memory) > target_.bytes;
    if (choice_.blocks == "auto") return takes_more && whole_.is_sensitive(memory);
    if (choice_.blocks == "all") return takes_more;
    const std::vector<size_t> named = named_blocks();
    return std::find(named.begin(), named.end(), block) != named.end();
  }

  // "1-4,block7".
  std::vector<size_t> named_blocks() const {
    std::vector<size_t> named;
    for (size_t begin = 0; begin <= choice_.blocks.size();) {
      const size_t end = std::min(choice_.blocks.find(',', begin), choice_.blocks.size());
      const std::string item = choice_.blocks.substr(begin, end - begin);
      begin = end + 1;
      const auto it = std::find_if(blocks_.begin(), blocks_.end(),
                                   [&](const NetworkBlock& b) { return b.name == item; });
      if (it != blocks_.end()) {
        named.push_back(static_cast<size_t>(it - blocks_.begin()));
        continue;
      }
      const size_t dash = item.find('-');
      const auto first = number(item.substr(0, dash));
      const auto last = dash == item.npos ? first : number(item.substr(dash + 1));
      const bool numeric = item.find_first_not_of("0123456789-") == item.npos;
      require(first && last && *first <= *last, "there is no block '", item, "'",
              numeric ? "" : did_you_mean(item, names()),
              "; needed auto, all, or numbers from 1 to ", blocks_.size(),
              " and names, such as 1-2,", blocks_.back().name);
      for (size_t b = *first; b <= *last; ++b) named.push_back(b - 1);
    }
    return named;
  }
  std::optional<size_t> number(const std::string& text) const {
    size_t value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
    return whole && value >= 1 && value <= blocks_.size() ? std::optional(value) : std::nullopt;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const NetworkBlock& b : blocks_) all.push_back(b.name);
    return all;
  }

  const ModelSource source_;
  const ModelChoice trained_;
  const PruneChoice& choice_;
  const Network network_;
  const std::vector<NetworkBlock> blocks_;
  const std::vector<LayerGroup> groups_;
  const MemoryProfile whole_;
  MemoryTarget target_;
};

// Each layer that reads the channels counts the same, however large its numbers are.
std::vector<double> scores_of(const ChannelGroup& group, const ChannelNorms& norms) {
  std::vector<double> scores(static_cast<size_t>(group.channels));
  for (const std::string& layer : group.readers) {
    const std::vector<double>& own = norms.of.at(layer);
    const double sum = std::accumulate(own.begin(), own.end(), 0.0);
    for (size_t c = 0; c < scores.size(); ++c) scores[c] += sum > 0 ? own[c] / sum : 0;
  }
  return scores;
}

std::vector<Pruning> prunings_of(const Setup& setup, const std::vector<PrunableBlock>& blocks,
                                 const std::vector<BlockRatio>& ratios, int64_t examples,
                                 PruneReport& report) {
  std::vector<std::string> readers;
  for (const PrunableBlock& block : blocks) {
    for (const ChannelGroup& g : block.groups) {
      readers.insert(readers.end(), g.readers.begin(), g.readers.end());
    }
  }
  const ChannelNorms norms = channel_norms(setup, readers, examples);
  report.examples = norms.examples;
  std::vector<Pruning> prunings;
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (const ChannelGroup& g : blocks[b].groups) {
      const int64_t count = kept_channels(g, ratios[b].ratio);
      prunings.push_back({g, largest(scores_of(g, norms), count)});
      report.blocks[b].channels_before += g.channels;
      report.blocks[b].channels += count;
    }
  }
  return prunings;
}

void write_pruned(const std::string& to, const std::string& weights, const Network& network,
                  const std::vector<Pruning>& prunings) {
  Network smaller = pruned(network, prunings);
  for (NetworkParameter& p : smaller.parameters) p.fresh = false;
  const SafetensorsReader file(weights);
  std::vector<float> values;
  write_network(to, smaller, [&](const NetworkParameter& left) {
    const auto it = std::find_if(network.parameters.begin(), network.parameters.end(),
                                 [&](const NetworkParameter& p) { return p.name == left.name; });
    values.resize(static_cast<size_t>(it->shape.elements()));
    file.read(left.name, values.data(), static_cast<int64_t>(values.size() * sizeof(float)));
    values = pruned_values(*it, std::move(values), prunings);
    return values.data();
  });
}

BlockProfile public_profile(const BlockMemory& m) {
  return {m.name, m.is_block, m.temporary_bytes, m.cumulative_bytes, m.peak_bytes};
}

BlockProfile public_profile(const MemoryProfile& m) {
  int64_t temporary = 0;
  for (const BlockMemory& b : m.blocks) temporary = std::max(temporary, b.temporary_bytes);
  return {"all", false, temporary, m.cumulative_bytes, m.peak_bytes};
}

}  // namespace

PruneReport prune(const TrainOptions& options, const PruneChoice& choice) {
  require(is_network_file(choice.to), "the pruned network is written to a file called *",
          kNetworkSuffix, ", and not '", choice.to, "'");
  require(choice.examples >= 1, "channels are ranked by ", choice.examples,
          " pictures, needed 1 or more");
  require(!options.data.path.empty(),
          "pruning ranks channels by their activations on training pictures: name --data");
  require(options.patches.height == 0, "pruning looks at whole pictures: leave the patches out");
  TrainOptions backbone = options;  // without what would be trained beside it
  backbone.model.side = "none";
  backbone.model.train = "all";
  backbone.cache_features = false;
  Setup setup = prepare(backbone, true);
  const std::string weights =
      options.initial_weights.empty() ? setup.model_file : options.initial_weights;
  require(!weights.empty(), "pruning ranks the channels of a trained network, and ",
          options.model.name,
          " has no weights; name a *.thimble or *.onnx file with --model, or "
          "the weights with --init");
  ModelChoice trained = setup.options.model;
  trained.side = options.model.side;
  trained.train = options.model.train;
  const Pruner pruner(setup, trained, choice);
  const std::vector<PrunableBlock> blocks = pruner.prunable_blocks();
  const auto profile = [&](const Network& network) { return pruner.profile(network); };
  const std::vector<BlockRatio> ratios =
      smallest_ratios(pruner.network(), blocks, pruner.target(), profile);

  PruneReport report;
  for (size_t b = 0; b < blocks.size(); ++b) {
    report.blocks.push_back({blocks[b].name, ratios[b].ratio, 0, 0, ratios[b].reached,
                             public_profile(ratios[b].before), public_profile(ratios[b].after)});
  }
  const std::vector<Pruning> prunings = prunings_of(setup, blocks, ratios, choice.examples, report);
  write_pruned(choice.to, weights, pruner.network(), prunings);
  const Network smaller = pruned(pruner.network(), prunings);
  const MemoryProfile after = pruner.profile(smaller);
  report.before = public_profile(pruner.whole());
  report.after = public_profile(after);
  for (const BlockMemory& b : after.blocks) {
    if (b.peak_bytes == after.peak_bytes) report.peak_block = b.name;
  }
  report.target_bytes = pruner.target().bytes;
  report.parameters_before = parameters_of(pruner.network());
  report.parameters = parameters_of(smaller);
  report.file = choice.to;
  return report;
}

}  // namespace thimble
