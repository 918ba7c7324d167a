#pragma once

#include <string>
#include <vector>

namespace thimble {

// What thimble-onnx does. Throws UserError.

// Reads a file of ONNX, writes a *.thimble file. Returns what was dropped that a user should know
// of, a sentence each.
std::vector<std::string> import_file(const std::string& onnx_path, const std::string& network_path);
// Reads and writes nothing: what an import says.
std::vector<std::string> check_file(const std::string& onnx_path);
void export_file(const std::string& network_path, const std::string& onnx_path);

}  // namespace thimble
