#pragma once

#include <onnx/onnx_pb.h>

#include <functional>
#include <string>

#include "models/network.h"

namespace thimble {

// The network as a model of opset 13: a node for each layer, tensors, parameters and layers under
// their names, the batch called "N". What ONNX says with several nodes gets further names behind
// the layer's. `read(name, to, count)` gives each parameter's numbers. Throws UserError that names
// a layer which ONNX has no words for.
onnx::ModelProto export_network(
    const Network& network,
    const std::function<void(const std::string& name, float* to, int64_t count)>& read);

}  // namespace thimble
