#pragma once

#include <functional>
#include <string>

#include "models/network.h"

namespace thimble {

// A network and its weights in one file, called *.thimble: a safetensors file that everyone may
// read, whose metadata hold the layers as JSON under "thimble.network".
inline constexpr const char* kNetworkSuffix = ".thimble";

// `values` gives each parameter's numbers, in the order of `network.parameters`, which holds
// none that is fresh. Written aside and renamed.
void write_network(const std::string& path, const Network& network,
                   const std::function<const float*(const NetworkParameter&)>& values);

// Reads the layers, not the weights. Throws UserError when the file is none of these, is broken, or
// needs an op that this thimble does not have.
Network read_network(const std::string& path);

// Whether a model's name means a file, of a network or of ONNX.
bool is_network_file(const std::string& model);
bool is_onnx_file(const std::string& model);

}  // namespace thimble
