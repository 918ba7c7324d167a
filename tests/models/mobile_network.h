#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "models/blocks.h"
#include "models/network.h"

namespace thimble {

// Networks as they come from files: each layer for itself, called as exporters call them.
class NetworkWriter {
 public:
  NetworkWriter(const std::string& name, const Shape& image) {
    network_.name = name;
    network_.input = "input";
    network_.image = image;
  }

  std::string layer(const std::string& op, std::vector<std::string> inputs,
                    const Attributes& attributes = {}, std::string name = "") {
    if (name.empty()) name = str_cat("/", op, "_", network_.layers.size());
    network_.layers.push_back({op, name, std::move(inputs), {name + "_output"}, attributes});
    return network_.layers.back().outputs[0];
  }

  std::string parameter(const std::string& name, const Shape& shape, const Init& init,
                        Role role = Role::weight) {
    network_.parameters.push_back({name, shape, role, init});
    return name;
  }

  std::string conv(const std::string& name, const std::string& from, int64_t in, const Conv& c) {
    const std::string weight =
        parameter(name + ".weight", {c.out_channels, in / c.groups, c.kernel, c.kernel},
                  {Init::Kind::normal, 0.1});
    const int64_t pad = c.kernel / 2;
    return layer("conv2d", {from, weight},
                 {{"out_channels", c.out_channels},
                  {"kernel", both(c.kernel)},
                  {"stride", both(c.stride)},
                  {"padding", ints({pad, pad, pad, pad})},
                  {"groups", c.groups}},
                 name);
  }

  std::string norm(const std::string& name, const std::string& from, int64_t channels) {
    const Init one = {Init::Kind::constant, 1};
    return layer("batch_norm",
                 {from, "", parameter(name + ".weight", {channels}, one),
                  parameter(name + ".bias", {channels}, {}),
                  parameter(name + ".running_mean", {channels}, {}, Role::statistic),
                  parameter(name + ".running_var", {channels}, one, Role::statistic)},
                 {}, name);
  }

  // Convolution "<name>.0", norm "<name>.1", ReLU6.
  std::string conv_norm_act(const std::string& name, const std::string& from, int64_t in,
                            const Conv& c) {
    return layer("relu6", {norm(name + ".1", conv(name + ".0", from, in, c), c.out_channels)});
  }

  // `output` (N, C, H, W), to logits.
  Network classify(const std::string& output, int64_t channels, int64_t classes) {
    const std::string flat = layer("flatten", {layer("global_average_pool", {output})});
    network_.output = layer(
        "linear",
        {flat, parameter("classifier.1.weight", {classes, channels}, {Init::Kind::normal, 0.1}),
         parameter("classifier.1.bias", {classes}, {})},
        {{"out_features", classes}, {"bias", int64_t{1}}}, "classifier.1");
    return network_;
  }

 private:
  Network network_;
};

// MobileNetV2 with torchvision's names.
inline Network mobilenet_v2_network(double width, const Shape& image, int64_t classes = 10) {
  struct Group {
    int64_t expansion, channels, blocks, stride;
  };
  const std::vector<Group> groups = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                     {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  NetworkWriter w("mobilenet_v2", image);
  int64_t channels = scaled(32, width), number = 0;
  std::string x = w.conv_norm_act("features.0", "input", 3, {channels, 3, 2});
  for (const Group& group : groups) {
    for (int64_t i = 0; i < group.blocks; ++i) {
      const std::string name = str_cat("features.", ++number, ".conv");
      const int64_t hidden = group.expansion * channels, out = scaled(group.channels, width);
      const int64_t stride = i == 0 ? group.stride : 1;
      std::string y = x;
      int64_t k = 0;
      if (group.expansion != 1) {
        y = w.conv_norm_act(str_cat(name, '.', k++), y, channels, {hidden});
      }
      y = w.conv_norm_act(str_cat(name, '.', k++), y, hidden, {hidden, 3, stride, hidden});
      y = w.conv(str_cat(name, '.', k), y, hidden, {out});
      y = w.norm(str_cat(name, '.', k + 1), y, out);
      x = stride == 1 && channels == out ? w.layer("add", {x, y}) : y;
      channels = out;
    }
  }
  const int64_t last = scaled(1280, std::max(1.0, width));
  return w.classify(w.conv_norm_act("features.18", x, channels, {last}), last, classes);
}

}  // namespace thimble
