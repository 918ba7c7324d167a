#pragma once

#include <onnx/onnx_pb.h>

#include <set>
#include <string>

#include "models/network.h"

namespace thimble {

// What ONNX has no place for stands in the file's metadata: how pixels become numbers, and which
// constants are not trained.
void write_metadata(const Network& network, onnx::ModelProto& model);
// Throws UserError when it is there and broken.
void read_metadata(const onnx::ModelProto& model, Network& network,
                   std::set<std::string>& statistics);

}  // namespace thimble
