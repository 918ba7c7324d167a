#include "models/network.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "ops/core/builder.h"

namespace thimble {
namespace {

// Names that the training loop looks for.
const std::set<std::string> kReserved = {"images",  "labels",  "logits", "loss",
                                         "correct", "counter", "lr"};

const NetworkParameter* find_parameter(const Network& network, const std::string& name) {
  for (const NetworkParameter& p : network.parameters) {
    if (p.name == name) return &p;
  }
  return nullptr;
}

NetworkParameter& parameter(Network& network, const std::string& name, const std::string& layer) {
  for (NetworkParameter& p : network.parameters) {
    if (p.name == name) return p;
  }
  throw UserError(str_cat("layer ", layer, " reads ", name, ", which is no parameter"));
}

// What makes a tensor; -1: nothing does.
std::ptrdiff_t maker_of(const Network& network, const std::string& tensor) {
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const auto& made = network.layers[i].outputs;
    if (std::find(made.begin(), made.end(), tensor) != made.end()) return std::ptrdiff_t(i);
  }
  return -1;
}

// A convolution over one pixel, as far as shapes are known: one stands before it or behind it. An
// activation behind it leaves only a name to tell classes from features.
bool decides(const Network& network, const NetworkLayer& conv, bool pooled, bool activated) {
  const NetworkParameter* weight = find_parameter(network, conv.inputs[1]);
  const bool pointwise =
      weight != nullptr && weight->shape.rank() == 4 && weight->shape[2] * weight->shape[3] == 1;
  if (activated) {
    return pointwise && conv.inputs.size() > 2 && network.output.find("feat") == std::string::npos;
  }
  const std::ptrdiff_t before = maker_of(network, conv.inputs[0]);
  return pooled ||
         (before >= 0 && network.layers[static_cast<size_t>(before)].op == "global_average_pool");
}

// The layer that decides between the classes; -1: there is none. What follows it only reshapes, or
// takes the mean over pixels, as in SqueezeNet, whose ReLU may stand between.
std::ptrdiff_t head_of(const Network& network) {
  std::string at = network.output;
  bool pooled = false, activated = false;
  while (true) {
    const std::ptrdiff_t i = maker_of(network, at);
    if (i < 0) return -1;
    const NetworkLayer& layer = network.layers[static_cast<size_t>(i)];
    if (layer.op == "linear") return activated ? -1 : i;
    if (layer.op == "conv2d") return decides(network, layer, pooled, activated) ? i : -1;
    pooled = pooled || layer.op == "global_average_pool";
    activated = activated || layer.op == "relu";
    const bool passes = layer.op == "flatten" || layer.op == "reshape" ||
                        layer.op == "global_average_pool" || (layer.op == "relu" && pooled);
    if (!passes) return -1;
    at = layer.inputs[0];
  }
}

void begin_anew(Network& network, NetworkLayer& layer, int64_t classes) {
  const OpDef& def = find_op(layer.op);
  for (size_t i = 1; i < layer.inputs.size(); ++i) {
    if (layer.inputs[i].empty()) continue;
    NetworkParameter& p = parameter(network, layer.inputs[i], layer.name);
    Shape shape = p.shape;
    shape[0] = classes;
    p = {p.name, shape, Role::weight, {}, true};
    if (i == 1) p.init = {Init::Kind::normal, 0.01};
  }
  if (layer.op == "conv2d") layer.attributes.set("out_channels", classes);
  if (layer.op == "linear") layer.attributes.set("out_features", classes);
  ensure(def.parameters != nullptr, layer.op, " has no parameters");
}

// A new layer behind features of shape (N, F) or (N, C, H, W).
void append_head(Network& network, const Shape& features, int64_t classes) {
  std::string at = network.output;
  if (features.rank() == 4) {
    network.layers.push_back({"global_average_pool", "head.pool", {at}, {"head.pool"}, {}});
    network.layers.push_back({"flatten", "head.flatten", {"head.pool"}, {"head.flatten"}, {}});
    at = "head.flatten";
  }
  const Attributes attributes = {{"out_features", classes}, {"bias", int64_t{1}}};
  std::string logits = "logits";
  while (maker_of(network, logits) >= 0 || logits == network.input) logits += "_";
  network.layers.push_back(
      {"linear", "head", {at, "head.weight", "head.bias"}, {logits}, attributes});
  network.parameters.push_back(
      {"head.weight", {classes, features[1]}, Role::weight, {Init::Kind::normal, 0.01}, true});
  network.parameters.push_back({"head.bias", {classes}, Role::weight, {}, true});
  network.output = logits;
}

// The tensors of a network as they become those of a graph.
class Builder {
 public:
  Builder(const Network& network, const ModelOptions& o) : network_(network), o_(o) {
    graph_.name = network.name;
    ids_[network.input] = graph_.add_tensor({"images",
                                             {o.batch, o.channels, o.height, o.width_px},
                                             ElementType::f32,
                                             Role::data,
                                             {},
                                             false});
    std::set<std::string> read;
    for (const NetworkLayer& layer : network.layers) {
      read.insert(layer.inputs.begin(), layer.inputs.end());
    }
    for (const NetworkParameter& p : network.parameters) {
      if (!read.contains(p.name)) continue;
      require(!kReserved.contains(p.name), "a parameter is called ", p.name,
              ", which thimble keeps for itself; hint: give it another name");
      ids_[p.name] = graph_.add_tensor(
          {p.name, p.shape, ElementType::f32, p.role, p.init, p.role == Role::weight});
      require(graph_.tensor(ids_[p.name]).name == p.name, "two parameters are called ", p.name);
    }
  }

  void add(const NetworkLayer& layer) {
    std::vector<TensorId> inputs;
    for (const std::string& name : layer.inputs) {
      const auto it = ids_.find(name);
      require(name.empty() || it != ids_.end(), "layer ", layer.name, " reads ", name,
              ", which nothing makes before it");
      inputs.push_back(name.empty() ? kNoTensor : it->second);
    }
    Attributes attributes = layer.attributes;
    if (layer.op == "batch_norm") {
      // One that begins anew has no statistics to be frozen with.
      const NetworkParameter* scale = find_parameter(network_, layer.inputs[2]);
      const bool of_batch = o_.norm == "batch" || (scale != nullptr && scale->fresh);
      attributes.set("training", int64_t{of_batch});
    }
    std::vector<TensorId> outputs;
    try {
      outputs =
          append_node(graph_, Phase::forward, layer.op, layer.name, std::move(inputs), attributes);
    } catch (const UserError& e) {
      throw UserError(str_cat("layer ", layer.name, ": ", e.what()));
    }
    // A tensor is called as its layer.
    for (TensorId t : outputs) {
      if (t != kNoTensor && kReserved.contains(graph_.tensor(t).name)) graph_.tensor(t).name += "_";
    }
    for (size_t i = 0; i < layer.outputs.size(); ++i) {
      require(i < outputs.size() && outputs[i] != kNoTensor, "layer ", layer.name,
              " does not make ", layer.outputs[i]);
      ids_[layer.outputs[i]] = outputs[i];
    }
  }

  const Shape& shape(const std::string& tensor) const {
    return graph_.tensor(ids_.at(tensor)).shape;
  }

  Graph classifier() {
    const TensorId logits = ids_.at(network_.output);
    const Shape& shape = graph_.tensor(logits).shape;
    require(shape.rank() == 2 && shape[0] == o_.batch, "its output ", network_.output, " is ",
            shape, ", needed (", o_.batch, ", classes)");
    GraphBuilder b(graph_.name);
    b.graph() = std::move(graph_);
    b.classify(logits, o_.label_smoothing);
    return std::move(b.graph());
  }

 private:
  const Network& network_;
  const ModelOptions& o_;
  Graph graph_;
  std::map<std::string, TensorId> ids_;
};

// Of its output, for a batch of 2.
Shape output_shape(const Network& network) {
  ModelOptions o;
  o.batch = 2;
  o.channels = network.image[0];
  o.height = network.image[1];
  o.width_px = network.image[2];
  o.norm = "frozen";
  Builder builder(network, o);
  for (const NetworkLayer& layer : network.layers) builder.add(layer);
  return builder.shape(network.output);
}

}  // namespace

int64_t classes_of(const Network& network) {
  const std::ptrdiff_t head = head_of(network);
  if (head < 0) return 0;
  const auto& layer = network.layers[static_cast<size_t>(head)];
  const NetworkParameter* weight = find_parameter(network, layer.inputs[1]);
  require(weight != nullptr, "layer ", layer.name, " has no weight");
  return weight->shape[0];
}

Network with_classes(Network network, int64_t classes) {
  const std::ptrdiff_t head = head_of(network);
  if (head >= 0) {
    if (classes != classes_of(network)) {
      begin_anew(network, network.layers[static_cast<size_t>(head)], classes);
    }
    return network;
  }
  const Shape features = output_shape(network);
  require(features.rank() == 2 || features.rank() == 4, "its output ", network.output, " is ",
          features, ", needed logits, or features (N, F) or (N, C, H, W)");
  append_head(network, features, classes);
  return network;
}

Graph graph_of(const Network& network, const ModelOptions& o) {
  require(o.norm != "group",
          "a network from a file has no group norm in place of its batch norm; "
          "use --norm batch or frozen");
  const Network joined = fused(network);
  Builder builder(joined, o);
  for (const NetworkLayer& layer : joined.layers) builder.add(layer);
  return builder.classifier();
}

Model model_of(Network network) {
  Model model;
  model.name = network.name;
  model.summary = "a network from a file";
  const int64_t classes = classes_of(network);
  model.defaults = {network.image[0], network.image[1], network.image[2],
                    classes > 0 ? classes : 1000, 32};
  model.build = [network = std::move(network)](const ModelOptions& o) {
    require(o.width == 1, "its width is what the file has; leave --width out");
    require(o.channels == network.image[0], "images have ", o.channels, " channels, needed ",
            network.image[0]);
    return graph_of(with_classes(network, o.classes), o);
  };
  return model;
}

}  // namespace thimble
