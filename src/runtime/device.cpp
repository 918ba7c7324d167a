#include "runtime/device.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace thimble {
namespace {

using Json = nlohmann::json;

constexpr const char* kExample = R"({"gflops": 20, "gb_per_s": 4, "kernel_us": 10})";
// Beyond these no device is meant, and a predicted time would be 0 or endless.
constexpr double kLeast = 1e-4;
constexpr double kMost = 1e7;
constexpr double kUsualKernelMicroseconds = 5;

double figure(const Json& json, const std::string& file, const char* name, double absent) {
  const auto it = json.find(name);
  if (it == json.end() && absent > 0) return absent;
  const double value = it != json.end() && it->is_number() ? it->get<double>() : 0;
  require(value >= kLeast && value <= kMost, file, ": needs \"", name, "\", a number from ", kLeast,
          " to ", kMost, ", such as ", kExample);
  return value;
}

}  // namespace

Machine read_device(const std::string& file) {
  require(!std::filesystem::is_directory(file), file, ": is a folder; needed a JSON file such as ",
          kExample);
  std::ifstream in(file);
  require(in.good(), "cannot read the description of a device, ", file);
  const Json json = Json::parse(in, nullptr, false);
  require(json.is_object(), file, ": is not a JSON object such as ", kExample);
  for (const auto& [name, value] : json.items()) {
    const bool known = name == "name" || name == "gflops" || name == "gb_per_s" ||
                       name == "kernel_us" || name == "storage_mb_per_s";
    require(known, file, ": knows no \"", name,
            "\"; needs \"gflops\" and \"gb_per_s\", and may have \"kernel_us\", "
            "\"storage_mb_per_s\" and "
            "\"name\"");
  }
  Machine m = {figure(json, file, "gflops", 0) * 1e9, figure(json, file, "gb_per_s", 0) * 1e9,
               figure(json, file, "kernel_us", kUsualKernelMicroseconds) / 1e6};
  if (json.contains("storage_mb_per_s")) {
    const double speed = figure(json, file, "storage_mb_per_s", 0) * 1e6;
    m.storage = {speed, speed, 0};
  }
  return m;
}

}  // namespace thimble
