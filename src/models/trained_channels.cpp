#include "models/trained_channels.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace thimble {
namespace {

// The weight that a layer reads, as it is or standardised.
bool reads(const Graph& graph, const Node& layer, TensorId weight) {
  const TensorId read = layer.inputs[1];
  return read == weight || std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& n) {
           return n.op == "standardize_weights" && n.inputs[0] == weight && n.outputs[0] == read;
         });
}

// The axis of a weight's channels.
int axis_of(const Graph& graph, TensorId weight, const std::string& rule) {
  const Tensor& tensor = graph.tensor(weight);
  if (tensor.shape.rank() == 1) return 0;
  for (const Node& node : graph.nodes) {
    const bool convolution = node.op == "conv2d";
    if ((!convolution && node.op != "linear") || !reads(graph, node, weight)) continue;
    const int64_t groups = convolution ? node.attributes.integer("groups") : 1;
    const bool depthwise = groups == tensor.shape[0] && tensor.shape[1] == 1;
    require(groups == 1 || depthwise, "train: '", rule, "' names a part of ", tensor.name,
            ", whose convolution has ", groups,
            " groups; needed a dense or a depthwise one, or all of it");
    return groups == 1 ? 1 : 0;
  }
  throw UserError(str_cat("train: '", rule, "' names a part of ", tensor.name, ' ', tensor.shape,
                          ", which no convolution or linear layer reads; needed all of it"));
}

}  // namespace

std::optional<int64_t> count_of(std::string_view text) {
  int64_t count = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool is_number = read.ec == std::errc() && read.ptr == text.data() + text.size();
  return is_number && text[0] != '-' ? std::optional(count) : std::nullopt;
}

PartOfRule part_of(const std::string& rule) {
  const size_t open = rule.find('[');
  if (open == rule.npos && rule.find(']') == rule.npos) return {rule};
  const auto malformed = [&] {
    return UserError(str_cat("train: '", rule, "', needed [FIRST:END] or [SHARE/OF] at the end, ",
                             "such as [0:16] or [1/4]"));
  };
  if (open == rule.npos || rule.back() != ']') throw malformed();
  const std::string_view inside = std::string_view(rule).substr(open + 1, rule.size() - open - 2);
  const size_t sign = inside.find_first_of(":/");
  if (sign == inside.npos) throw malformed();
  const auto first = count_of(inside.substr(0, sign));
  const auto second = count_of(inside.substr(sign + 1));
  if (!first || !second) throw malformed();
  const bool is_share = inside[sign] == '/';
  require(is_share ? *first > 0 && *first <= *second : *first < *second, "train: '", rule, "', ",
          is_share ? "needed a share above 0, of at most 1" : "needed a range that is not empty");
  return {rule.substr(0, open), Channels{is_share, *first, *second}};
}

ChannelRange range_of(const Graph& graph, TensorId t, const Channels& channels,
                      const std::string& rule) {
  const int axis = axis_of(graph, t, rule);
  const Tensor& tensor = graph.tensor(t);
  const int64_t all = tensor.shape[axis];
  ChannelRange range = {axis, channels.first, channels.second - channels.first};
  if (channels.is_share) {
    // Rounded up, but not by what the quotient is off. Without the product, which a long fraction
    // would overflow.
    const double share = static_cast<double>(channels.first) / static_cast<double>(channels.second);
    const auto count = static_cast<int64_t>(share * static_cast<double>(all) + 1 - 1e-9);
    range = {axis, 0, std::clamp<int64_t>(count, 1, all)};
  }
  require(range.first + range.count <= all, "train: '", rule, "', but ", tensor.name, " has ", all,
          " channels");
  return range.count == all ? ChannelRange{} : range;
}

}  // namespace thimble
