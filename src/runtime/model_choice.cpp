#include "runtime/model_choice.h"

#include "base/error.h"
#include "models/side_network.h"
#include "models/trained.h"
#include "runtime/network_file.h"
#include "runtime/onnx_program.h"
#include "runtime/run_folder.h"

namespace thimble {
namespace {

Network beside(const Network& network, const ModelChoice& choice) {
  return with_side(network, choice.side, {choice.channels, choice.height, choice.width_px});
}

}  // namespace

ModelOptions model_options(const ModelChoice& c, int64_t examples) {
  return {examples, c.channels, c.height,          c.width_px, c.classes,
          c.width,  c.norm,     c.label_smoothing, c.variants};
}

ModelSource find_source(const ModelChoice& choice, const std::string& file) {
  const std::string name = !file.empty()               ? file
                           : is_onnx_file(choice.name) ? converted_onnx(choice.name)
                                                       : choice.name;
  if (!is_network_file(name)) return {find_model(name), std::nullopt, {}};
  Network network = read_network(name);
  return {model_of(network), std::move(network), name};
}

std::string base_of_run(const std::string& run_folder, const ModelChoice& choice) {
  const bool from_file = is_network_file(choice.name) || is_onnx_file(choice.name);
  if (!from_file || run_folder.empty() || !RunFolder(run_folder).has_base()) return "";
  return RunFolder(run_folder).base_file();
}

Network network_of(const ModelSource& source, const ModelChoice& choice) {
  if (source.network) {
    Network network = beside(with_classes(*source.network, choice.classes), choice);
    network.image = {choice.channels, choice.height, choice.width_px};
    return network;
  }
  const ModelOptions options = model_options(choice, choice.batch);
  return beside(network_of(build_model(source.model, options), options), choice);
}

BuiltModel build(const ModelSource& source, const ModelChoice& choice, int64_t examples) {
  ModelOptions options = model_options(choice, examples);
  BuiltModel built;
  if (source.network || choice.side != "none") {
    const Network network = network_of(source, choice);
    for (const NetworkParameter& p : network.parameters) {
      if (p.fresh) built.fresh.push_back(p.name);
    }
    if (!source.network) {
      for (const auto& [name, value] : options.variants) {
        require(name != "dropout" || value == "0", "a network beside ", choice.name,
                " leaves its dropout out; leave out --option dropout=", value, " as well");
      }
      // They are in the network by now.
      options.variants.clear();
      options.width = 1;
      if (options.norm == "group") options.norm = "batch";
    }
    built.forward = build_model(model_of(network), options);
  } else {
    built.forward = build_model(source.model, options);
  }
  if (choice.train != "all") {
    built.forward = with_trained(std::move(built.forward), choice.train, built.fresh);
  }
  return built;
}

}  // namespace thimble
