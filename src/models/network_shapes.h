#pragma once

#include <map>
#include <string>

#include "models/network.h"

namespace thimble {

// The shape of every tensor that the layers make, for a batch of `batch` images (C, H, W); the
// input's as well. Throws UserError that names the layer which does not take what it is given.
std::map<std::string, Shape> shapes_of(const Network& network, const Shape& image,
                                       int64_t batch = 1);

}  // namespace thimble
