#include "base/error.h"
#include "models/network_shapes.h"
#include "models/side_module.h"
#include "models/side_network.h"

namespace thimble {

// As released: https://github.com/ASU-ESIC-FAN-Lab/RepNet, whose module at a block of stride 2 that
// its list forgot is brought to the block's size here.
Network with_rep_net(const Network& backbone, const Shape& image, bool wide) {
  constexpr int64_t kSmall = 7;  // pixels a side that a 3x3 convolution is enough for
  const auto shapes = shapes_of(backbone, image);
  const std::vector<NetworkBlock> blocks = blocks_of(backbone);
  std::vector<SideModule> modules;
  for (size_t i = 1; i < blocks.size(); ++i) {
    const Shape& in = shapes.at(blocks[i].input);
    if (in == shapes.at(blocks[i].output)) continue;
    SideModule module;
    module.block = blocks[i];
    module.image = modules.empty();
    module.pools = !(wide && module.image);
    module.kernel = in[2] <= kSmall && in[3] <= kSmall ? 3 : 5;
    module.groups = module.image || in[1] % 2 != 0 ? 1 : 2;
    modules.push_back(std::move(module));
  }
  require(!modules.empty(), "Rep-Net stands beside the first blocks of a network's stages, and ",
          backbone.name, " has ", blocks.size(),
          " blocks, none behind the first of which changes the shape of what it reads");
  return with_modules(backbone, modules, shapes);
}

}  // namespace thimble
