#include "onnx/metadata.h"

#include <charconv>
#include <sstream>

#include "base/error.h"

namespace thimble {
namespace {

constexpr const char* kPixels = "thimble.pixels";          // mean, std, bgr
constexpr const char* kStatistics = "thimble.statistics";  // a name a line

std::string text_of(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

void add(onnx::ModelProto& model, const char* key, const std::string& value) {
  auto* entry = model.add_metadata_props();
  entry->set_key(key);
  entry->set_value(value);
}

PixelRule pixels_of(const std::string& text) {
  PixelRule rule;
  std::istringstream in(text);
  for (double& v : rule.mean) in >> v;
  for (double& v : rule.std) in >> v;
  in >> rule.bgr;
  require(!in.fail(), "its metadata ", kPixels, " are broken");
  return rule;
}

}  // namespace

void write_metadata(const Network& network, onnx::ModelProto& model) {
  if (network.pixels.said()) {
    std::string text;
    for (double v : network.pixels.mean) text += text_of(v) + ' ';
    for (double v : network.pixels.std) text += text_of(v) + ' ';
    add(model, kPixels, text + (network.pixels.bgr ? '1' : '0'));
  }
  std::set<std::string> convolved;  // by what is not trained
  for (const NetworkLayer& layer : network.layers) {
    if (layer.op == "conv2d") convolved.insert(layer.inputs.begin() + 1, layer.inputs.end());
  }
  std::string names;
  for (const NetworkParameter& p : network.parameters) {
    if (p.role == Role::statistic && convolved.contains(p.name)) names += p.name + '\n';
  }
  if (!names.empty()) add(model, kStatistics, names);
}

void read_metadata(const onnx::ModelProto& model, Network& network,
                   std::set<std::string>& statistics) {
  for (const auto& entry : model.metadata_props()) {
    if (entry.key() == kPixels) network.pixels = pixels_of(entry.value());
    if (entry.key() != kStatistics) continue;
    std::istringstream in(entry.value());
    for (std::string name; std::getline(in, name);) statistics.insert(name);
  }
}

}  // namespace thimble
