#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace thimble {

// What a user may choose about a model. 0: the model's usual value.
struct ModelOptions {
  int64_t batch = 0;           // examples in a step
  int64_t channels = 0;        // of the images
  int64_t height = 0;          // of the images, in pixels; when only one of the two
  int64_t width_px = 0;        // is given, images are square
  int64_t classes = 0;         // that the classifier tells apart
  double width = 1;            // multiplies the number of channels of every layer
  std::string norm = "batch";  // batch | frozen | group; models without normalisation ignore it
  double label_smoothing = 0;  // share of the target spread over all classes, in [0, 1)
  std::map<std::string, std::string> variants = {};  // a model's own options: "stride_in" "3x3"
};

struct ModelDefaults {
  int64_t channels = 3;
  int64_t height = 224;    // pixels
  int64_t width_px = 224;  // pixels
  int64_t classes = 1000;
  int64_t batch = 32;
};

// An option that one model has.
struct ModelVariant {
  std::string name;
  std::string initial;              // the default
  std::vector<std::string> values;  // that it takes; empty: a number
  std::string help;
  int64_t most = 0;  // of a number: whole, from 1 to this; 0: a fraction in [0, 1)
};
// The value of a variant that is a number, of resolved options.
double number_of(const ModelOptions& options, const std::string& variant);

// One network of the zoo; src/models/model_<name>.cpp defines `const Model& model_<name>()`.
struct Model {
  std::string name;
  std::string summary;  // one sentence, for `thimble list models`
  ModelDefaults defaults;
  int64_t smallest_px = 1;  // the smallest image side that leaves one pixel everywhere
  std::vector<ModelVariant> variants;
  std::function<Graph(const ModelOptions&)> build;  // takes resolved options
};

// All models of src/models, in the order of their files' names.
const std::vector<const Model*>& models();

// Throws UserError with the nearest name when there is no such model.
const Model& find_model(const std::string& name);

// Fills in the model's usual values and its variants. Throws UserError on values that it cannot
// take.
ModelOptions resolve_options(const Model& model, ModelOptions options);

// The forward graph of one step, from "images" and "labels" to "logits", "loss" and "correct".
Graph build_model(const Model& model, const ModelOptions& options = {});
Graph build_model(const std::string& name, const ModelOptions& options = {});

// The number of trained scalars.
int64_t trainable_parameters(const Graph& graph);

}  // namespace thimble
