#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/network.h"

namespace thimble {

// Writes a network down layer by layer, unfused, as files hold it. Each method gives its output's
// name; a tensor is called as the layer that makes it.
class WrittenNetwork {
 public:
  WrittenNetwork(const std::string& name, const Shape& image) {
    network.name = name;
    network.image = image;
    channels_[network.input] = image[0];
  }

  std::string conv(const std::string& name, const std::string& src, int64_t out, int64_t kernel = 1,
                   int64_t stride = 1, int64_t groups = 1) {
    const int64_t pad = kernel / 2;
    const std::string weight =
        parameter(name + ".weight", {out, channels(src) / groups, kernel, kernel});
    channels_[name] = out;
    return layer("conv2d", name, {src, weight},
                 {{"out_channels", out},
                  {"kernel", std::vector<int64_t>{kernel, kernel}},
                  {"stride", std::vector<int64_t>{stride, stride}},
                  {"padding", std::vector<int64_t>{pad, pad, pad, pad}},
                  {"groups", groups}});
  }
  std::string depthwise(const std::string& name, const std::string& src, int64_t stride = 1) {
    return conv(name, src, channels(src), 3, stride, channels(src));
  }
  std::string norm(const std::string& name, const std::string& src) {
    const Shape shape = {channels(src)};
    const std::vector<std::string> inputs = {
        src,
        "",
        parameter(name + ".weight", shape),
        parameter(name + ".bias", shape),
        parameter(name + ".running_mean", shape, Role::statistic),
        parameter(name + ".running_var", shape, Role::statistic)};
    channels_[name] = shape[0];
    return layer("batch_norm", name, inputs);
  }
  std::string pool(const std::string& name, const std::string& src, int64_t size) {
    channels_[name] = channels(src);
    const std::vector<int64_t> window = {size, size};
    return layer("average_pool", name, {src}, {{"kernel", window}, {"stride", window}});
  }
  // One input or several, none of them a parameter; channels as in the first.
  std::string plain(const std::string& op, const std::string& name,
                    const std::vector<std::string>& inputs, const Attributes& attributes = {}) {
    channels_[name] = channels(inputs[0]);
    return layer(op, name, inputs, attributes);
  }
  std::string conv_norm(const std::string& name, const std::string& src, int64_t out,
                        int64_t kernel = 1, int64_t stride = 1, int64_t groups = 1) {
    return norm(name + ".norm", conv(name + ".conv", src, out, kernel, stride, groups));
  }
  std::string conv_norm_act(const std::string& name, const std::string& src, int64_t out,
                            int64_t kernel = 1, int64_t stride = 1, int64_t groups = 1) {
    return plain("relu6", name + ".relu", {conv_norm(name, src, out, kernel, stride, groups)});
  }
  void classify(const std::string& src, int64_t classes) {
    const std::string pooled = plain("global_average_pool", "pool", {src});
    const std::string flat = plain("flatten", "flatten", {pooled});
    const std::string weight = parameter("fc.weight", {classes, channels(src)});
    const std::string bias = parameter("fc.bias", {classes});
    layer("linear", "fc", {flat, weight, bias}, {{"out_features", classes}, {"bias", int64_t{1}}});
    network.output = "fc";
  }

  int64_t channels(const std::string& tensor) const { return channels_.at(tensor); }

  Network network;

 private:
  std::string parameter(const std::string& name, const Shape& shape, Role role = Role::weight) {
    network.parameters.push_back({name, shape, role, {}, false});
    return name;
  }
  std::string layer(const std::string& op, const std::string& name, std::vector<std::string> inputs,
                    const Attributes& attributes = {}) {
    network.layers.push_back({op, name, std::move(inputs), {name}, attributes});
    return name;
  }

  std::map<std::string, int64_t> channels_;
};

// MobileNetV2 1.0 (arXiv 1801.04381) as torchvision has it; blocks are "block1" to "block17".
// `behind_block` may add layers: it gets the block's number, what went into it and what came out,
// and gives what goes on.
template <class Behind>
WrittenNetwork written_mobilenet_v2(int64_t classes, int64_t side, const Behind& behind_block) {
  struct Group {
    int64_t expansion, channels, blocks, stride;
  };
  constexpr Group kGroups[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                               {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  WrittenNetwork w("mobilenet_v2", {3, side, side});
  std::string x = w.conv_norm_act("stem", w.network.input, 32, 3, 2);
  int64_t number = 0;
  for (const Group& group : kGroups) {
    for (int64_t i = 0; i < group.blocks; ++i) {
      const std::string name = "block" + std::to_string(++number);
      const std::string in = x;
      const int64_t stride = i == 0 ? group.stride : 1;
      const int64_t hidden = w.channels(in) * group.expansion;
      if (group.expansion > 1) x = w.conv_norm_act(name + ".expand", x, hidden);
      x = w.conv_norm_act(name + ".depthwise", x, hidden, 3, stride, hidden);
      x = w.conv_norm(name + ".project", x, group.channels);
      if (i > 0) x = w.plain("add", name + ".add", {x, in});
      x = behind_block(w, number, in, x);
    }
  }
  w.classify(w.conv_norm_act("last", x, 1280), classes);
  return w;
}
inline WrittenNetwork written_mobilenet_v2(int64_t classes, int64_t side = 224) {
  return written_mobilenet_v2(classes, side,
                              [](auto&, int64_t, const auto&, const std::string& x) { return x; });
}

}  // namespace thimble
