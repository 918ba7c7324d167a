#include "models/side_module.h"

#include <algorithm>
#include <cmath>

#include "models/blocks.h"

namespace thimble {
namespace {

constexpr double kEpsilon = 1e-3;  // of norms
constexpr int64_t kGroupChannels = 8;

// The largest divisor of `channels` up to kGroupChannels.
int64_t channels_of_group(int64_t channels) {
  int64_t width = std::min(kGroupChannels, channels);
  while (channels % width != 0) --width;
  return width;
}

// The layers of one module; each layer's output is called as the layer.
class Writer {
 public:
  Writer(Network& network, const SideModule& module)
      : network_(network), module_(module), prefix_("side." + module.block.name + ".") {}

  // Up to the last norm; `shape` becomes that of its output.
  std::string encoder(const std::string& input, Shape& shape, int64_t out_channels) {
    std::string at = module_.image ? pool("image", input, shape, 4) : input;
    if (module_.pools) at = pool("pool", at, shape, 2);
    const int64_t hidden = scaled(shape[1], 1);
    at = conv("conv1", at, shape, {hidden, module_.kernel, module_.stride, module_.groups});
    at = norm("norm1", at, hidden, 1);
    at = add("relu", "relu", {at}, {});
    at = conv("conv2", at, shape, {out_channels});
    return norm("norm2", at, out_channels, 0);
  }

  // What the block makes and what the module does, brought to one size.
  std::string joined(const std::string& made, std::string side, const Shape& shape,
                     const Shape& wanted) {
    if (shape[2] != wanted[2] || shape[3] != wanted[3]) {
      side = add("upsample_bilinear", "up", {side}, {{"size", ints({wanted[2], wanted[3]})}});
    }
    return add("add", "sum", {made, side}, {});
  }

  std::vector<NetworkLayer> take() { return std::exchange(layers_, {}); }

 private:
  std::string add(const std::string& op, const std::string& name, std::vector<std::string> inputs,
                  const Attributes& attributes) {
    layers_.push_back({op, prefix_ + name, std::move(inputs), {prefix_ + name}, attributes});
    return prefix_ + name;
  }
  std::string parameter(const std::string& name, const Shape& shape, const Init& init,
                        Role role = Role::weight) {
    network_.parameters.push_back({prefix_ + name, shape, role, init, true});
    return prefix_ + name;
  }

  // Means of squares; of everything where a square would leave one pixel, of nothing where there is
  // no square.
  std::string pool(const std::string& name, const std::string& from, Shape& shape, int64_t side) {
    const int64_t height = shape[2] / side, width = shape[3] / side;
    if (std::max(shape[2], shape[3]) == 1) return from;
    if (std::min(height, width) < 1 || std::max(height, width) == 1) {
      shape[2] = shape[3] = 1;
      return add("global_average_pool", name, {from}, {});
    }
    shape[2] = height;
    shape[3] = width;
    return add("average_pool", name, {from}, {{"kernel", both(side)}, {"stride", both(side)}});
  }

  std::string conv(const std::string& name, const std::string& from, Shape& shape, const Conv& c) {
    const double fan_out = static_cast<double>(c.kernel * c.kernel * c.out_channels);
    const std::string weight =
        parameter(name + ".weight", {c.out_channels, shape[1] / c.groups, c.kernel, c.kernel},
                  {Init::Kind::normal, std::sqrt(2 / fan_out)});
    const std::string standard = add("standardize_weights", name + ".standard", {weight}, {});
    const int64_t pad = c.kernel / 2;
    for (int i : {2, 3}) shape[i] = (shape[i] - 1) / c.stride + 1;
    shape[1] = c.out_channels;
    return add("conv2d", name, {from, standard},
               {{"out_channels", c.out_channels},
                {"kernel", both(c.kernel)},
                {"stride", both(c.stride)},
                {"padding", ints({pad, pad, pad, pad})},
                {"groups", c.groups}});
  }

  std::string norm(const std::string& name, const std::string& from, int64_t channels,
                   double scale) {
    const Init one = {Init::Kind::constant, 1};
    std::vector<std::string> inputs = {
        from, "", parameter(name + ".weight", {channels}, {Init::Kind::constant, scale}),
        parameter(name + ".bias", {channels}, {})};
    Attributes attributes = {{"epsilon", kEpsilon}};
    if (!module_.batch) {
      attributes.set("groups", channels / channels_of_group(channels));
      return add("group_norm", name, std::move(inputs), attributes);
    }
    inputs.push_back(parameter(name + ".running_mean", {channels}, {}, Role::statistic));
    inputs.push_back(parameter(name + ".running_var", {channels}, one, Role::statistic));
    return add("batch_norm", name, std::move(inputs), attributes);
  }

  Network& network_;
  const SideModule& module_;
  std::string prefix_;
  std::vector<NetworkLayer> layers_;
};

}  // namespace

int64_t pooled(int64_t pixels) { return std::max<int64_t>(1, pixels / 2); }

Network with_modules(const Network& backbone, const std::vector<SideModule>& modules,
                     const std::map<std::string, Shape>& shapes) {
  Network network = backbone;
  network.layers.clear();
  std::map<std::string, std::string> renamed;  // what a block makes, by what stands for it now
  const auto append = [&](std::vector<NetworkLayer> layers) {
    for (NetworkLayer& layer : layers) {
      for (std::string& input : layer.inputs) {
        if (const auto it = renamed.find(input); it != renamed.end()) input = it->second;
      }
      network.layers.push_back(std::move(layer));
    }
  };
  const auto backbone_layers = [&](size_t first, size_t last) {
    const auto begin = backbone.layers.begin();
    append({begin + static_cast<std::ptrdiff_t>(first), begin + static_cast<std::ptrdiff_t>(last)});
  };
  size_t done = 0;
  for (const SideModule& module : modules) {
    const NetworkBlock& block = module.block;
    const Shape& wanted = shapes.at(block.output);
    const std::string& input = module.image ? network.input : block.input;
    Shape shape = shapes.at(input);
    Writer writer(network, module);
    const std::string side = writer.encoder(input, shape, wanted[1]);
    backbone_layers(done, block.first);
    // The image is there for ever: nothing has to wait.
    std::vector<NetworkLayer> encoder = writer.take();
    if (!module.image) append(std::exchange(encoder, {}));
    backbone_layers(block.first, block.last);
    append(std::move(encoder));
    const std::string sum = writer.joined(block.output, side, shape, wanted);
    append(writer.take());
    renamed[block.output] = sum;
    if (network.output == block.output) network.output = sum;
    done = block.last;
  }
  backbone_layers(done, backbone.layers.size());
  return network;
}

}  // namespace thimble
