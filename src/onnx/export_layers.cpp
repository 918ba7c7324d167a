#include <cmath>
#include <map>
#include <numeric>

#include "onnx/export_graph.h"

namespace thimble {
namespace {

using Sizes = std::vector<int64_t>;

const std::string& src(const ExportLayer& at) { return at.layer.inputs[0]; }
Sizes sizes(const ExportLayer& at, const char* name) { return at.attributes.integers(name); }

// Ops that ONNX has under another name, without attributes.
void export_plain(ExportGraph& g, const ExportLayer& at) {
  static const std::map<std::string, const char*> names = {
      {"relu", "Relu"}, {"tanh", "Tanh"}, {"sigmoid", "Sigmoid"},
      {"add", "Add"},   {"mul", "Mul"},   {"global_average_pool", "GlobalAveragePool"}};
  g.last(at, names.at(at.layer.op), at.layer.inputs);
}

void export_alpha(ExportGraph& g, const ExportLayer& at) {
  auto& node = g.last(at, at.layer.op == "elu" ? "Elu" : "LeakyRelu", {src(at)});
  set(node, "alpha", at.attributes.real("alpha"));
}

void set_window(onnx::NodeProto& node, const ExportLayer& at) {
  set(node, "kernel_shape", sizes(at, "kernel"));
  set(node, "pads", sizes(at, "padding"));
  set(node, "strides", sizes(at, "stride"));
}

void export_conv2d(ExportGraph& g, const ExportLayer& at) {
  auto& node = g.last(at, "Conv", at.layer.inputs);
  set(node, "dilations", sizes(at, "dilation"));
  set(node, "group", at.attributes.integer("groups"));
  set_window(node, at);
}

void export_pool(ExportGraph& g, const ExportLayer& at) {
  const bool mean = at.layer.op == "average_pool";
  auto& node = g.last(at, mean ? "AveragePool" : "MaxPool", {src(at)});
  if (at.attributes.has("ceil_mode")) set(node, "ceil_mode", at.attributes.integer("ceil_mode"));
  if (mean) set(node, "count_include_pad", at.attributes.integer("count_include_pad"));
  set_window(node, at);
}

void export_linear(ExportGraph& g, const ExportLayer& at) {
  auto& node = g.last(at, "Gemm", at.layer.inputs);
  set(node, "alpha", 1.0);
  set(node, "beta", 1.0);
  set(node, "transB", int64_t{1});
}

// The usual way stands in the file; what networks have joined is taken apart before.
void require_alone(const ExportLayer& at) {
  const bool alone = at.layer.inputs[1].empty() && at.attributes.text("activation") == "none";
  require(alone, "layer ", at.layer.name, ": ", at.layer.op,
          " is joined with a sum or an activation, which ONNX has no words for");
}

void export_batch_norm(ExportGraph& g, const ExportLayer& at) {
  require_alone(at);
  const auto& in = at.layer.inputs;
  auto& node = g.last(at, "BatchNormalization", {in[0], in[2], in[3], in[4], in[5]});
  set(node, "epsilon", at.attributes.real("epsilon"));
  set(node, "momentum", 1 - at.attributes.real("momentum"));
  const double floor = at.attributes.real("scale_floor");
  if (floor > 0) {
    g.write_as(in[2], {in[2], at.inputs[2], [floor](std::vector<float>& gamma) {
                         for (float& v : gamma) v = static_cast<float>(std::abs(v) + floor);
                       }});
  }
}

// The file holds the weights that come out: whoever runs the network does not train it.
void export_standardized(ExportGraph& g, const ExportLayer& at) {
  const Shape& shape = at.inputs[0];
  const double epsilon = at.attributes.real("epsilon");
  const auto change = [shape, epsilon](std::vector<float>& weights) {
    const auto k = weights.size() / static_cast<size_t>(shape[0]);
    for (auto row = weights.begin(); row != weights.end(); row += static_cast<std::ptrdiff_t>(k)) {
      const auto end = row + static_cast<std::ptrdiff_t>(k);
      const double mean = std::accumulate(row, end, 0.0) / static_cast<double>(k);
      double squares = 0;
      for (auto w = row; w != end; ++w) squares += (*w - mean) * (*w - mean);
      const double std = std::sqrt(squares / static_cast<double>(k - 1));
      for (auto w = row; w != end; ++w) *w = static_cast<float>((*w - mean) / (std + epsilon));
    }
  };
  g.write_as(src(at), {at.layer.outputs[0], shape, change});
}

void export_group_norm(ExportGraph& g, const ExportLayer& at) {
  require_alone(at);
  const int64_t groups = at.attributes.integer("groups");
  const auto count = static_cast<size_t>(groups);
  const Shape& shape = at.inputs[0];
  require(shape.rank() == 4, "layer ", at.layer.name, ": ONNX normalises groups of images");
  std::string parted, normal, back, scaled;
  g.before(at, "Reshape", "/part", {src(at), g.whole(at, "/groups", {0, groups, -1})}, parted);
  const std::string ones = g.real(at, "/ones", std::vector<float>(count, 1));
  const std::string zeros = g.real(at, "/zeros", std::vector<float>(count, 0));
  auto& norm = g.before(at, "InstanceNormalization", "/norm", {parted, ones, zeros}, normal);
  set(norm, "epsilon", at.attributes.real("epsilon"));
  const Sizes whole = {-1, shape[1], shape[2], shape[3]};
  g.before(at, "Reshape", "/join", {normal, g.whole(at, "/shape", whole)}, back);
  const Shape channels = {shape[1], 1, 1};
  for (size_t i : {2, 3}) g.write_as(at.layer.inputs[i], {at.layer.inputs[i], channels});
  g.before(at, "Mul", "/scale", {back, at.layer.inputs[2]}, scaled);
  g.last(at, "Add", {scaled, at.layer.inputs[3]});
}

void export_relu6(ExportGraph& g, const ExportLayer& at) {
  g.last(at, "Clip", {src(at), g.real(at, "/min", {0}, true), g.real(at, "/max", {6}, true)});
}

void export_hard_sigmoid(ExportGraph& g, const ExportLayer& at) {
  auto& node = g.last(at, "HardSigmoid", {src(at)});
  set(node, "alpha", at.attributes.real("alpha"));
  set(node, "beta", at.attributes.real("beta"));
}

void export_gated(ExportGraph& g, const ExportLayer& at) {
  std::string gate;
  if (at.layer.op == "silu") {
    g.before(at, "Sigmoid", "/gate", {src(at)}, gate);
  } else {
    auto& node = g.before(at, "HardSigmoid", "/gate", {src(at)}, gate);
    set(node, "alpha", 1.0 / 6);
    set(node, "beta", 0.5);
  }
  g.last(at, "Mul", {src(at), gate});
}

void export_gelu(ExportGraph& g, const ExportLayer& at) {
  require(at.attributes.text("approximate") == "none", "layer ", at.layer.name,
          ": gelu by tanh has no ONNX form here; use approximate=none");
  const auto number = [&](const char* suffix, double v) {
    return g.real(at, suffix, {static_cast<float>(v)}, true);
  };
  std::string less, erf, more, product;
  g.before(at, "Div", "/div", {src(at), number("/sqrt2", std::sqrt(2.0))}, less);
  g.before(at, "Erf", "/erf", {less}, erf);
  g.before(at, "Add", "/add", {erf, number("/one", 1)}, more);
  g.before(at, "Mul", "/mul", {src(at), more}, product);
  g.last(at, "Mul", {product, number("/half", 0.5)});
}

void export_flatten(ExportGraph& g, const ExportLayer& at) {
  set(g.last(at, "Flatten", {src(at)}), "axis", int64_t{1});
}

void export_reshape(ExportGraph& g, const ExportLayer& at) {
  g.last(at, "Reshape", {src(at), g.whole(at, "/shape", sizes(at, "shape"))});
}

void export_concat(ExportGraph& g, const ExportLayer& at) {
  set(g.last(at, "Concat", at.layer.inputs), "axis", at.attributes.integer("axis"));
}

void export_split(ExportGraph& g, const ExportLayer& at) {
  require(at.layer.outputs.size() == at.outputs.size(), "layer ", at.layer.name,
          ": not every part of the split has a name");
  auto& node = g.last(at, "Split", {src(at), g.whole(at, "/sizes", sizes(at, "sizes"))});
  set(node, "axis", at.attributes.integer("axis"));
}

void export_slice(ExportGraph& g, const ExportLayer& at) {
  const auto one = [&](const char* suffix, const char* name) {
    return g.whole(at, suffix, {at.attributes.integer(name)});
  };
  g.last(at, "Slice", {src(at), one("/begin", "begin"), one("/end", "end"), one("/axis", "axis")});
}

void export_pad(ExportGraph& g, const ExportLayer& at) {
  const Sizes p = sizes(at, "padding");
  const Sizes pads = {0, 0, p[0], p[1], 0, 0, p[2], p[3]};
  set(g.last(at, "Pad", {src(at), g.whole(at, "/pads", pads)}), "mode", "constant");
}

void export_channel_shuffle(ExportGraph& g, const ExportLayer& at) {
  const Shape& s = at.inputs[0];
  const int64_t groups = at.attributes.integer("groups");
  std::string parted, turned;
  const Sizes apart = {-1, groups, s[1] / groups, s[2], s[3]};
  g.before(at, "Reshape", "/part", {src(at), g.whole(at, "/groups", apart)}, parted);
  set(g.before(at, "Transpose", "/turn", {parted}, turned), "perm", Sizes{0, 2, 1, 3, 4});
  g.last(at, "Reshape", {turned, g.whole(at, "/shape", {-1, s[1], s[2], s[3]})});
}

void export_upsample(ExportGraph& g, const ExportLayer& at) {
  std::string shape, kept, whole;
  g.before(at, "Shape", "/shape", {src(at)}, shape);
  const std::string begin = g.whole(at, "/begin", {0});
  g.before(at, "Slice", "/kept", {shape, begin, g.whole(at, "/end", {2})}, kept);
  auto& joined =
      g.before(at, "Concat", "/sizes", {kept, g.whole(at, "/image", sizes(at, "size"))}, whole);
  set(joined, "axis", int64_t{0});
  auto& node = g.last(at, "Resize", {src(at), "", "", whole});
  set(node, "mode", "linear");
  set(node, "coordinate_transformation_mode", "half_pixel");
}

void export_space_to_depth(ExportGraph& g, const ExportLayer& at) {
  set(g.last(at, "SpaceToDepth", {src(at)}), "blocksize", at.attributes.integer("block"));
}

void export_space_to_batch(ExportGraph& g, const ExportLayer& at) {
  const Shape& s = at.outputs[0];
  std::string deep;
  auto& node = g.before(at, "SpaceToDepth", "/deep", {src(at)}, deep);
  set(node, "blocksize", at.attributes.integer("block"));
  g.last(at, "Reshape", {deep, g.whole(at, "/shape", {-1, s[1], s[2], s[3]})});
}

const std::map<std::string, LayerExporter>& exporters() {
  static const std::map<std::string, LayerExporter> all = {
      {"relu", export_plain},
      {"tanh", export_plain},
      {"sigmoid", export_plain},
      {"add", export_plain},
      {"mul", export_plain},
      {"global_average_pool", export_plain},
      {"elu", export_alpha},
      {"leaky_relu", export_alpha},
      {"conv2d", export_conv2d},
      {"max_pool", export_pool},
      {"average_pool", export_pool},
      {"linear", export_linear},
      {"batch_norm", export_batch_norm},
      {"group_norm", export_group_norm},
      {"standardize_weights", export_standardized},
      {"relu6", export_relu6},
      {"hard_sigmoid", export_hard_sigmoid},
      {"silu", export_gated},
      {"hard_swish", export_gated},
      {"gelu", export_gelu},
      {"flatten", export_flatten},
      {"reshape", export_reshape},
      {"concat", export_concat},
      {"split", export_split},
      {"slice", export_slice},
      {"pad", export_pad},
      {"channel_shuffle", export_channel_shuffle},
      {"upsample_bilinear", export_upsample},
      {"space_to_depth", export_space_to_depth},
      {"space_to_batch", export_space_to_batch},
  };
  return all;
}

}  // namespace

LayerExporter find_layer_exporter(const std::string& op) {
  const auto it = exporters().find(op);
  return it == exporters().end() ? nullptr : it->second;
}

}  // namespace thimble
