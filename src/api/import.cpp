#include "base/error.h"
#include "runtime/network_file.h"
#include "runtime/onnx_program.h"
#include "thimble/thimble.h"

namespace thimble {

std::string import_onnx(const std::string& onnx, const std::string& to) {
  require(is_network_file(to), to, ": a network's file is called *", kNetworkSuffix);
  return onnx_to_network(onnx, to);
}

}  // namespace thimble
