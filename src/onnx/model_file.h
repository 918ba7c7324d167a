#pragma once

#include <onnx/onnx_pb.h>

#include <string>

namespace thimble {

// Reads a file of ONNX; memory stays in proportion to the file's bytes. Throws UserError.
onnx::ModelProto read_model(const std::string& path);

// Checks the model as onnx.checker does, then writes it aside and renames. Throws UserError.
void write_model(const std::string& path, const onnx::ModelProto& model);

}  // namespace thimble
