#include "models/network_blocks.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "models/activation_op.h"

namespace thimble {
namespace {

bool is_one_of(const std::string& op, std::initializer_list<const char*> ops) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}
bool is_norm(const std::string& op) { return is_one_of(op, {"batch_norm", "group_norm"}); }

class Finder {
 public:
  explicit Finder(const Network& network) : layers_(network.layers), input_(network.input) {
    for (const NetworkParameter& p : network.parameters) shapes_[p.name] = p.shape;
    for (size_t i = 0; i < layers_.size(); ++i) {
      for (const std::string& name : layers_[i].inputs) readers_[name].push_back(i);
      for (const std::string& name : layers_[i].outputs) maker_[name] = i;
    }
    readers_[network.output].push_back(layers_.size());
    find_cuts();
  }

  std::vector<NetworkBlock> blocks() const {
    std::vector<NetworkBlock> found;
    size_t free = 0;  // layers before it are taken
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (cut_[i].empty()) continue;
      if (is_one_of(layers_[i].op, {"global_average_pool", "flatten", "reshape", "linear"})) break;
      if (!ends_block(free, i)) continue;
      i = with_followers(i);
      const size_t first = found.empty() ? behind_stem(i) : behind_pools(free);
      found.push_back({"", first, i + 1, first == 0 ? input_ : cut_[first - 1], cut_[i]});
      free = i + 1;
    }
    name(found);
    return found;
  }

 private:
  // cut_[i]: the one tensor that layers behind i read of what was made so far; empty when several.
  // The image does not count: a side network reads it late.
  void find_cuts() {
    std::set<std::string> live;
    for (size_t i = 0; i < layers_.size(); ++i) {
      for (const std::string& t : layers_[i].outputs) live.insert(t);
      std::erase_if(live, [&](const std::string& t) {
        const auto it = readers_.find(t);
        return it == readers_.end() || it->second.back() <= i;
      });
      cut_.push_back(live.size() == 1 ? *live.begin() : "");
    }
  }

  // The layer that makes the first input; nothing: a parameter or the image does.
  const NetworkLayer* before(const NetworkLayer& layer) const {
    const auto it = maker_.find(layer.inputs[0]);
    return it != maker_.end() ? &layers_[it->second] : nullptr;
  }
  const NetworkLayer* skip(const NetworkLayer* at, bool (*passed)(const std::string&)) const {
    while (at != nullptr && passed(at->op)) at = before(*at);
    return at;
  }

  // (O, I, R, S) of a convolution, also where its weights are standardised; null: not known.
  const Shape* weights_of(const NetworkLayer& conv) const {
    const std::string* name = &conv.inputs[1];
    const auto made = maker_.find(*name);
    if (made != maker_.end()) name = &layers_[made->second].inputs[0];
    const auto it = shapes_.find(*name);
    return it != shapes_.end() && it->second.rank() == 4 ? &it->second : nullptr;
  }
  static int64_t groups_of(const NetworkLayer& conv) {
    return conv.attributes.has("groups") ? conv.attributes.integer("groups") : 1;
  }

  bool is_pointwise(const NetworkLayer* conv) const {
    if (conv == nullptr || conv->op != "conv2d") return false;
    const Shape* weights = weights_of(*conv);
    return weights != nullptr && (*weights)[2] * (*weights)[3] == 1;
  }
  bool is_depthwise(const NetworkLayer& conv) const {
    if (conv.op != "conv2d" || groups_of(conv) == 1) return false;
    const Shape* weights = weights_of(conv);
    return weights != nullptr && (*weights)[1] == 1;
  }
  bool widens(const NetworkLayer& conv) const {
    const Shape& weights = *weights_of(conv);
    return weights[0] > weights[1] * groups_of(conv);
  }

  size_t convolutions(size_t first, size_t last) const {
    return static_cast<size_t>(
        std::count_if(layers_.begin() + static_cast<std::ptrdiff_t>(first),
                      layers_.begin() + static_cast<std::ptrdiff_t>(last),
                      [](const NetworkLayer& l) { return l.op == "conv2d"; }));
  }

  // The one layer that reads what layer `i` makes; nothing when there are several.
  const NetworkLayer* only_reader(size_t i) const {
    const std::vector<size_t>& all = readers_.at(cut_[i]);
    return all.size() == 1 && all[0] < layers_.size() ? &layers_[all[0]] : nullptr;
  }

  bool ends_block(size_t first, size_t i) const {
    const NetworkLayer& layer = layers_[i];
    if (is_one_of(layer.op, {"add", "concat"})) return convolutions(first, i) > 0;
    const NetworkLayer* reader = only_reader(i);
    if (reader != nullptr && (is_norm(reader->op) || is_activation(reader->op))) return false;
    const NetworkLayer* conv = skip(skip(&layer, is_activation), is_norm);
    if (!is_pointwise(conv) || convolutions(first, i + 1) < 2) return false;
    if (!is_activation(layer.op) && !widens(*conv)) return true;
    const NetworkLayer* filter = skip(skip(before(*conv), is_activation), is_norm);
    return filter != nullptr && is_depthwise(*filter) && maker_.at(filter->outputs[0]) >= first;
  }

  // Norm, activation and shuffle behind a joint are the block's, and what a module of a side
  // network adds.
  size_t with_followers(size_t i) const {
    while (i + 1 < layers_.size() && !cut_[i + 1].empty()) {
      const std::string& op = layers_[i + 1].op;
      const bool follows = is_norm(op) || is_activation(op) || op == "channel_shuffle";
      if (!follows || layers_[i + 1].inputs[0] != cut_[i] || only_reader(i) == nullptr) break;
      ++i;
    }
    for (size_t k = i + 1; k < layers_.size() && layers_[k].name.starts_with(kSide); ++k) {
      if (layers_[k].op == "add" && layers_[k].inputs[0] == cut_[i]) return k;
    }
    return i;
  }

  size_t behind_pools(size_t first) const {
    while (is_one_of(layers_[first].op, {"max_pool", "average_pool"}) && !cut_[first].empty()) {
      ++first;
    }
    return first;
  }

  // Where the block that ends with layer `last` begins when nothing before it is a block.
  size_t behind_stem(size_t last) const {
    size_t start = 0;
    for (size_t i = 0; i <= last; ++i) {
      if (is_depthwise(layers_[i])) {
        start = i;
        break;
      }
      const bool forks = i > 0 && !cut_[i - 1].empty() && readers_.at(cut_[i - 1]).size() > 1;
      if (forks) start = i;
    }
    while (start > 0 && cut_[start - 1].empty()) --start;
    // A padding of its own, then the 1x1 convolution that makes the hidden channels.
    while (start > 0 && layers_[start - 1].op == "pad") --start;
    const NetworkLayer* maker = start > 0 ? &layers_[start - 1] : nullptr;
    const NetworkLayer* conv = skip(skip(maker, is_activation), is_norm);
    const bool at_depthwise = is_depthwise(layers_[start]) || layers_[start].op == "pad";
    if (is_pointwise(conv) && (at_depthwise || joined_by_concat(last))) {
      start = maker_.at(conv->outputs[0]);
    }
    return start;
  }
  bool joined_by_concat(size_t last) const {
    const NetworkLayer* at = skip(&layers_[last], is_activation);
    return at != nullptr && at->op == "concat";
  }

  // What the weights' names begin with, in whole words, down to the last one with a number:
  // "features.3" of features.3.conv.0.0.weight, "block_3" of block_3_expand.weight.
  std::string common_prefix(const NetworkBlock& block) const {
    std::optional<std::string> prefix;
    for (size_t i = block.first; i < block.last; ++i) {
      if (layers_[i].op != "conv2d" || layers_[i].name.starts_with(kSide)) continue;
      const std::string& name = layers_[i].inputs[1];
      const std::string own = name.substr(0, name.rfind('.') + 1);
      if (!prefix) prefix = own;
      const auto end = std::mismatch(prefix->begin(), prefix->end(), own.begin(), own.end()).first;
      prefix->erase(end, prefix->end());
    }
    std::string words = prefix.value_or("");
    words.resize(last_break(words));
    while (words.find_first_of(kDigits) != words.npos) {
      const size_t before = last_break(words);
      if (words.find_first_of(kDigits, before) != words.npos || before == 0) break;
      words.resize(before);
    }
    return words;
  }
  static constexpr const char* kSide = "side.";  // what stands beside (side_network.h)
  static constexpr const char* kDigits = "0123456789";
  // Where the last word ends that something follows; 0: nowhere.
  static size_t last_break(const std::string& words) {
    const size_t at = words.find_last_of("._/");
    return at == words.npos ? 0 : at;
  }

  void name(std::vector<NetworkBlock>& blocks) const {
    std::set<std::string> names;
    for (NetworkBlock& block : blocks) {
      block.name = common_prefix(block);
      if (!block.name.empty()) names.insert(block.name);
    }
    if (names.size() == blocks.size()) return;
    for (size_t k = 0; k < blocks.size(); ++k) blocks[k].name = "block" + std::to_string(k + 1);
  }

  const std::vector<NetworkLayer>& layers_;
  std::string input_;
  std::map<std::string, Shape> shapes_;                 // of parameters
  std::map<std::string, std::vector<size_t>> readers_;  // by tensor; its layers, the last one last
  std::map<std::string, size_t> maker_;                 // of a tensor
  std::vector<std::string> cut_;
};

}  // namespace

std::vector<NetworkBlock> blocks_of(const Network& network) { return Finder(network).blocks(); }

}  // namespace thimble
