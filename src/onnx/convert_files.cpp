#include "onnx/convert_files.h"

#include "onnx/exporter.h"
#include "onnx/importer.h"
#include "onnx/model_file.h"
#include "runtime/network_file.h"
#include "runtime/safetensors.h"

namespace thimble {
namespace {

Imported import_at(const std::string& path) {
  onnx::ModelProto model = read_model(path);
  try {
    return import_model(model);
  } catch (const UserError& e) {
    throw UserError(str_cat(path, ": ", e.what()));
  } catch (const Refused& e) {
    throw UserError(str_cat(path, ": ", e.what()));
  }
}

}  // namespace

std::vector<std::string> import_file(const std::string& onnx_path,
                                     const std::string& network_path) {
  const Imported made = import_at(onnx_path);
  write_network(network_path, made.network,
                [&](const NetworkParameter& p) { return made.values.at(p.name).data(); });
  return made.notes;
}

std::vector<std::string> check_file(const std::string& onnx_path) {
  return import_at(onnx_path).notes;
}

void export_file(const std::string& network_path, const std::string& onnx_path) {
  const Network network = read_network(network_path);
  const SafetensorsReader file(network_path);
  const auto read = [&](const std::string& name, float* to, int64_t count) {
    file.read(name, to, count * int64_t{sizeof(float)});
  };
  try {
    write_model(onnx_path, export_network(network, read));
  } catch (const Refused& e) {
    throw UserError(str_cat(network_path, ": ", e.what()));
  }
}

}  // namespace thimble
