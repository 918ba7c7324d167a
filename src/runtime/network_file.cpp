#include "runtime/network_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "ops/core/op.h"
#include "runtime/safetensors.h"

namespace thimble {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kKey = "thimble.network";
constexpr size_t kMostLayers = 100'000;

ordered_json to_json(const AttributeValue& value) {
  return std::visit([](const auto& v) { return ordered_json(v); }, value);
}

ordered_json to_json(const PixelRule& rule) {
  return {{"mean", rule.mean}, {"std", rule.std}, {"bgr", rule.bgr}};
}

std::string text_of(const Network& network) {
  ordered_json root = {{"name", network.name},
                       {"input", network.input},
                       {"output", network.output},
                       {"image", std::vector<int64_t>(network.image.begin(), network.image.end())}};
  if (network.pixels.said()) root["pixels"] = to_json(network.pixels);
  ordered_json layers = ordered_json::array();
  for (const NetworkLayer& layer : network.layers) {
    ordered_json attributes = ordered_json::object();
    for (const auto& [name, value] : layer.attributes) attributes[name] = to_json(value);
    layers.push_back({{"op", layer.op},
                      {"name", layer.name},
                      {"inputs", layer.inputs},
                      {"outputs", layer.outputs},
                      {"attributes", std::move(attributes)}});
  }
  root["layers"] = std::move(layers);
  std::vector<std::string> statistics;
  for (const NetworkParameter& p : network.parameters) {
    if (p.role == Role::statistic) statistics.push_back(p.name);
  }
  root["statistics"] = statistics;
  return root.dump(-1, ' ', false, json::error_handler_t::strict);
}

// A value of the kind that the op's default has.
AttributeValue attribute_of(const json& from, const AttributeValue& kind) {
  return std::visit(
      [&]<class T>(const T&) -> AttributeValue {
        if constexpr (std::is_same_v<T, double>) {
          if (!from.is_number()) throw json::type_error::create(302, "not a number", &from);
        }
        return from.get<T>();
      },
      kind);
}

NetworkLayer layer_of(const json& from) {
  NetworkLayer layer;
  layer.op = from.at("op").get<std::string>();
  layer.name = from.at("name").get<std::string>();
  layer.inputs = from.at("inputs").get<std::vector<std::string>>();
  layer.outputs = from.at("outputs").get<std::vector<std::string>>();
  const OpDef& def = find_op(layer.op);
  require(!layer.outputs.empty() && !layer.inputs.empty(), "layer ", layer.name,
          " has no inputs or no outputs");
  for (const auto& [name, value] : from.at("attributes").items()) {
    const AttributeSpec* found = nullptr;
    for (const AttributeSpec& spec : def.attributes) {
      if (spec.name == name) found = &spec;
    }
    require(found != nullptr, "layer ", layer.name, ": ", layer.op, " has no attribute '", name,
            "'");
    layer.attributes.set(name, attribute_of(value, found->initial));
  }
  return layer;
}

// That each layer has what its op needs, made before it.
void check_layers(const Network& network) {
  std::set<std::string> there = {network.input};
  for (const NetworkParameter& p : network.parameters) {
    require(there.insert(p.name).second, "two tensors are called ", p.name);
  }
  for (const NetworkLayer& layer : network.layers) {
    const OpDef& def = find_op(layer.op);
    const bool any_number = def.inputs.back().name == "...";
    require(any_number || layer.inputs.size() <= def.inputs.size(), "layer ", layer.name, " has ",
            layer.inputs.size(), " inputs, and ", layer.op, " takes ", def.inputs.size());
    for (size_t i = 0; i < std::max(layer.inputs.size(), def.inputs.size()); ++i) {
      const bool given = i < layer.inputs.size() && !layer.inputs[i].empty();
      const Port& port = def.inputs[std::min(i, def.inputs.size() - 1)];
      require(given || port.optional || port.name == "...", "layer ", layer.name,
              " lacks its input '", port.name, "'");
      require(!given || there.contains(layer.inputs[i]), "layer ", layer.name, " reads ",
              layer.inputs[i], ", which nothing makes before it");
    }
    for (const std::string& made : layer.outputs) {
      require(there.insert(made).second, "layer ", layer.name, " makes ", made, " once more");
    }
  }
  require(there.contains(network.output), "nothing makes its output ", network.output);
}

PixelRule pixels_of(const json& from) {
  PixelRule rule;
  rule.mean = from.at("mean").get<std::array<double, 3>>();
  rule.std = from.at("std").get<std::array<double, 3>>();
  rule.bgr = from.at("bgr").get<bool>();
  return rule;
}

Network network_in(const json& root, const SafetensorsReader& file) {
  Network network;
  network.name = root.at("name").get<std::string>();
  network.input = root.at("input").get<std::string>();
  network.output = root.at("output").get<std::string>();
  for (int64_t size : root.at("image").get<std::vector<int64_t>>()) network.image.push_back(size);
  require(network.image.rank() == 3, "its images are ", network.image, ", needed (C, H, W)");
  if (root.contains("pixels")) network.pixels = pixels_of(root.at("pixels"));
  require(root.at("layers").size() <= kMostLayers, "it has more than ", kMostLayers, " layers");
  for (const json& layer : root.at("layers")) network.layers.push_back(layer_of(layer));
  const auto statistics = root.at("statistics").get<std::vector<std::string>>();
  for (const TensorEntry& entry : file.entries()) {
    require(entry.dtype == "F32", "tensor ", entry.name, " has numbers of type ", entry.dtype,
            ", needed F32");
    require(entry.shape.size() <= Shape::kMaxRank, "tensor ", entry.name, " has ",
            entry.shape.size(), " sizes, needed at most ", Shape::kMaxRank);
    NetworkParameter p;
    p.name = entry.name;
    for (int64_t size : entry.shape) p.shape.push_back(size);
    const bool statistic =
        std::find(statistics.begin(), statistics.end(), p.name) != statistics.end();
    p.role = statistic ? Role::statistic : Role::weight;
    network.parameters.push_back(std::move(p));
  }
  check_layers(network);
  return network;
}

}  // namespace

void write_network(const std::string& path, const Network& network,
                   const std::function<const float*(const NetworkParameter&)>& values) {
  std::vector<TensorEntry> entries;
  for (const NetworkParameter& p : network.parameters) {
    ensure(!p.fresh, p.name, " has no values to write");
    entries.push_back({p.name, "F32", {p.shape.begin(), p.shape.end()}, p.shape.elements() * 4});
  }
  std::string text;
  try {
    text = text_of(network);
  } catch (const json::type_error&) {
    throw UserError(path + ": cannot write: a name of the network is not UTF-8");
  }
  SafetensorsWriter writer(path, entries, {{"format", "thimble-network"}, {kKey, text}});
  for (size_t i = 0; i < entries.size(); ++i) {
    writer.write(values(network.parameters[i]), entries[i].bytes);
  }
  writer.finish();
}

Network read_network(const std::string& path) {
  const SafetensorsReader file(path);
  const auto it = file.metadata().find(kKey);
  require(it != file.metadata().end(), path,
          ": holds no network; hint: thimble import model.onnx -o model.thimble makes one");
  const json root = json::parse(it->second, nullptr, /*allow_exceptions=*/false);
  require(root.is_object(), path, ": its layers are no JSON object");
  try {
    return network_in(root, file);
  } catch (const json::exception& e) {
    throw UserError(str_cat(path, ": its layers are broken: ", e.what()));
  } catch (const UserError& e) {
    throw UserError(str_cat(path, ": ", e.what()));
  }
}

bool is_network_file(const std::string& model) { return model.ends_with(kNetworkSuffix); }
bool is_onnx_file(const std::string& model) { return model.ends_with(".onnx"); }

}  // namespace thimble
