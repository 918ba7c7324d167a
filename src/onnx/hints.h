#pragma once

#include <string>

namespace thimble {

// What would help who has a model with an op that thimble has not.
std::string hint_for(const std::string& onnx_op);

}  // namespace thimble
