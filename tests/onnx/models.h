#pragma once

#include <onnx/defs/parser.h>

#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "models/network.h"
#include "onnx/importer.h"

namespace thimble {

using Weights = std::map<std::string, std::vector<int64_t>>;  // shapes of initialisers

// 1, 2, 3, ... in eighths: exact in every type.
std::vector<float> ramp(int64_t count);

// A model of ONNX in its text form, without what stands before the graph, and with these
// initialisers, whose numbers are a ramp.
onnx::ModelProto model(const std::string& graph, const Weights& weights = {}, int64_t opset = 13);

// The graph "g (float[N,3,8,8] x) => (float[N,M] y)" of these nodes.
onnx::ModelProto nodes(const std::string& body, const Weights& weights = {}, int64_t opset = 13);

Imported imported(onnx::ModelProto model);
// "conv2d relu6 flatten": the ops of its layers.
std::string ops(const Network& network);

// The model of a network, its numbers as imported.
onnx::ModelProto exported(const Imported& from);
// Importing gives a valid model, and importing that the same once more.
Imported imported_both_ways(onnx::ModelProto model);

// What it makes of these images, by the portable kernels in double: (N, classes), flat.
std::vector<double> logits(const Imported& of, const std::vector<double>& images);

}  // namespace thimble
