#pragma once

#include <array>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "models/model.h"

namespace thimble {

// One node of a network in a file: an op of the table, its tensors by name.
struct NetworkLayer {
  std::string op;
  std::string name;
  std::vector<std::string> inputs;   // empty where an optional one is absent
  std::vector<std::string> outputs;  // those that the op makes without being asked: the first
  Attributes attributes;             // defaults may be left out
  friend bool operator==(const NetworkLayer&, const NetworkLayer&) = default;
};

// A weight or running statistic; its values stand in the file under this name.
struct NetworkParameter {
  std::string name;
  Shape shape;
  Role role = Role::weight;  // or statistic
  Init init = {};            // of one that the file has no values for: a fresh head
  bool fresh = false;        // the file has no values for it
  friend bool operator==(const NetworkParameter&, const NetworkParameter&) = default;
};

// How pixels become numbers: (pixel / 255 - mean) / std, of each channel of the network, in its
// order. All three of `std` zero: not said.
struct PixelRule {
  std::array<double, 3> mean = {0, 0, 0};
  std::array<double, 3> std = {0, 0, 0};
  bool bgr = false;  // channels come as blue, green, red
  bool said() const { return std[0] != 0; }
  friend bool operator==(const PixelRule&, const PixelRule&) = default;
};

// A forward graph as files hold it, whatever batch it will run with: layers one to one as they came
// (`fused` joins them), with the names that they came with, and no loss.
struct Network {
  std::string name;
  std::string input = "images";   // tensor (N, C, H, W)
  std::string output = "logits";  // tensor (N, classes), or features of any shape
  Shape image;                    // (C, H, W) that it was made for; others may do
  PixelRule pixels;
  std::vector<NetworkLayer> layers;  // each tensor is made before it is read
  std::vector<NetworkParameter> parameters;
  friend bool operator==(const Network&, const Network&) = default;
};

// What thimble runs fastest: a normalisation takes the addition and the activation behind it, a
// convolution the padding before it. Tensors that others read as well stay.
Network fused(const Network& network);

// The same network for so many classes. Another number than it has: its last layer (linear, or a
// convolution of one pixel) begins anew under the same names; where it ends in features, a layer
// "head" joins them to the classes. Throws UserError when what it ends in is neither.
Network with_classes(Network network, int64_t classes);
// Classes that it tells apart; 0: it ends in features.
int64_t classes_of(const Network& network);

// The forward graph of one step as `build_model` makes it: the input is called "images", the output
// "logits". Of `options`: batch, image size, norm (batch or frozen), label_smoothing. Throws
// UserError that names the layer which does not take what it is given.
Graph graph_of(const Network& network, const ModelOptions& options);

// The other way: the network of a forward graph that `build_model` made, what was joined taken
// apart again, each layer with the op that files know. Throws UserError that names a layer which
// cannot be said so.
Network network_of(const Graph& forward, const ModelOptions& options);

// A network as a model: defaults from what it was made for.
Model model_of(Network network);

}  // namespace thimble
