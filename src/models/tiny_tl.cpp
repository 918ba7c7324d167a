#include <algorithm>

#include "base/error.h"
#include "models/network_shapes.h"
#include "models/side_module.h"
#include "models/side_network.h"

namespace thimble {

// As released: https://github.com/mit-han-lab/tinyml, tinytl.
Network with_tiny_tl(const Network& backbone, const Shape& image) {
  const auto shapes = shapes_of(backbone, image);
  const std::vector<NetworkBlock> blocks = blocks_of(backbone);
  std::vector<SideModule> modules;
  for (size_t i = 1; i < blocks.size(); ++i) {
    const Shape& in = shapes.at(blocks[i].input);
    const Shape& out = shapes.at(blocks[i].output);
    SideModule module;
    module.block = blocks[i];
    while (module.kernel > pooled(std::min(in[2], in[3])) && module.kernel > 1) module.kernel -= 2;
    module.stride = (in[2] + out[2] - 1) / out[2];
    module.groups = in[1] % 2 != 0 ? 1 : 2;
    module.batch = false;
    modules.push_back(std::move(module));
  }
  require(!modules.empty(), "TinyTL's modules stand beside a network's blocks behind the first, ",
          "and ", backbone.name, " has ", blocks.size(), " blocks");
  return with_modules(backbone, modules, shapes);
}

Network with_side(const Network& backbone, const std::string& side, const Shape& image) {
  if (side == "none") return backbone;
  if (side == "rep-net" || side == "rep-net-wide") {
    return with_rep_net(backbone, image, side == "rep-net-wide");
  }
  require(side == "tinytl", "there is no side network called '", side,
          "', needed none, rep-net, rep-net-wide or tinytl");
  return with_tiny_tl(backbone, image);
}

}  // namespace thimble
