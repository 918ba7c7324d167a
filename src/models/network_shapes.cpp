#include "models/network_shapes.h"

#include "base/error.h"
#include "ops/core/op.h"

namespace thimble {
namespace {

Attributes with_defaults(const OpDef& def, const NetworkLayer& layer) {
  Attributes all;
  for (const AttributeSpec& spec : def.attributes) all.set(spec.name, spec.initial);
  for (const auto& [name, value] : layer.attributes) all.set(name, value);
  // One image of one pixel has no variance, but it has a shape.
  if (all.has("training")) all.set("training", int64_t{0});
  return all;
}

}  // namespace

std::map<std::string, Shape> shapes_of(const Network& network, const Shape& image, int64_t batch) {
  require(image.rank() == 3, "images are ", image, ", needed (C, H, W)");
  std::map<std::string, Shape> shapes = {{"", {}}};
  for (const NetworkParameter& p : network.parameters) shapes[p.name] = p.shape;
  shapes[network.input] = {batch, image[0], image[1], image[2]};
  for (const NetworkLayer& layer : network.layers) {
    const OpDef& def = find_op(layer.op);
    const Attributes attributes = with_defaults(def, layer);
    OpShapes s{attributes, {}};
    for (const std::string& input : layer.inputs) {
      const auto it = shapes.find(input);
      require(it != shapes.end(), "layer ", layer.name, " reads ", input,
              ", which nothing makes before it");
      s.inputs.push_back(it->second);
    }
    s.inputs.resize(std::max(s.inputs.size(), def.inputs.size()));
    try {
      const std::vector<TensorSpec> specs = def.infer(s);
      for (size_t i = 0; i < std::min(specs.size(), layer.outputs.size()); ++i) {
        shapes[layer.outputs[i]] = specs[i].shape;
      }
    } catch (const UserError& e) {
      throw UserError(str_cat("layer ", layer.name, ": ", e.what()));
    }
  }
  for (const NetworkParameter& p : network.parameters) shapes.erase(p.name);
  shapes.erase("");
  return shapes;
}

}  // namespace thimble
