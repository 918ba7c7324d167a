#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/network.h"
#include "thimble/thimble.h"

namespace thimble {

// The model that was chosen: of the zoo, or of a file.
struct ModelSource {
  Model model;
  std::optional<Network> network;  // of a file, as it came
  std::string file;                // with the first values of what does not begin anew; or empty
};

// `file` stands for the model in place of its name (a run's own copy); empty: nothing does. ONNX is
// converted first (runtime/onnx_program.h). Throws UserError.
ModelSource find_source(const ModelChoice& choice, const std::string& file = {});

// What a run has in place of the file that it began with; empty: it began with a model of the zoo.
std::string base_of_run(const std::string& run_folder, const ModelChoice& choice);

// A model as it is trained, of a choice with its values filled in: `examples` in a batch, with the
// classes and the network beside it that were asked for, and frozen but for what is to be trained.
struct BuiltModel {
  Graph forward;
  std::vector<std::string> fresh;  // parameters that begin anew, whatever a file holds
};
BuiltModel build(const ModelSource& source, const ModelChoice& choice, int64_t examples);

// The same before it becomes a graph: for files. Throws UserError when a model of the zoo cannot be
// said so.
Network network_of(const ModelSource& source, const ModelChoice& choice);

ModelOptions model_options(const ModelChoice& choice, int64_t examples);

}  // namespace thimble
