#pragma once

#include <string>

namespace thimble {

// ONNX is read and written by a program of its own, thimble-onnx, so that its libraries are not in
// the bytes of a process that trains. It stands beside the program that runs, or where the
// environment's THIMBLE_ONNX says, or on the PATH. Each throws UserError with what that program
// says, or says that it is not there.
// The first returns what that program had to say of a network that it took, for people.
std::string onnx_to_network(const std::string& onnx, const std::string& network);
void network_to_onnx(const std::string& network, const std::string& onnx);

// The network of an ONNX file: converted once, and kept in the user's cache folder.
std::string converted_onnx(const std::string& onnx);

}  // namespace thimble
