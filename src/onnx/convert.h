#pragma once

#include <map>
#include <string>

#include "onnx/importer.h"
#include "onnx/node.h"

namespace thimble {

// Makes layers of a node that reads activations. Throws Refused or UserError.
using Converter = void (*)(Draft&, const NodeView&);
using Converters = std::map<std::string, Converter>;

// What each file of converters knows.
void add_window_converters(Converters& table);      // convolutions, pools, padding, resizing
void add_arithmetic_converters(Converters& table);  // sums, products, activations
void add_shape_converters(Converters& table);       // what moves elements about
void add_dense_converters(Converters& table);       // matrix products, normalisations, the rest

// The shape of an input, which has to be an activation. Throws Refused.
const Shape& activation(const Draft& draft, const NodeView& node, size_t i);
// The same, of images (N, C, H, W).
const Shape& image(const Draft& draft, const NodeView& node, size_t i);
// Null where it is absent. Throws Refused when it depends on the images.
const Constant* optional_constant(const Draft& draft, const NodeView& node, size_t i);

// The node's layer, which reads `inputs` and makes the node's first output.
void add_layer(Draft& draft, const NodeView& node, const std::string& op,
               std::vector<std::string> inputs, Attributes attributes = {});

}  // namespace thimble
