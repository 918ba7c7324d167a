#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/network_blocks.h"

namespace thimble {

// One module of a side network (side_network.h).
struct SideModule {
  NetworkBlock block;  // that it stands beside
  bool image = false;  // it reads the image, not what the block reads
  bool pools = true;   // begins with the mean of 2x2 pixels
  int64_t kernel = 5;  // of the first convolution
  int64_t stride = 1;  // of the first convolution
  int64_t groups = 1;  // of the first convolution
  bool batch = true;   // batch norm; else group norm, of 8 channels
};

// The side of what is left of so many pixels: of means of 2x2.
int64_t pooled(int64_t pixels);

// The backbone with these modules, in the order of their blocks. `shapes`: of its tensors, with the
// images that it will run with.
Network with_modules(const Network& backbone, const std::vector<SideModule>& modules,
                     const std::map<std::string, Shape>& shapes);

}  // namespace thimble
