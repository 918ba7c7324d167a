#include "runtime/run_data.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/aside_file.h"
#include "base/bytes.h"
#include "base/error.h"
#include "data/input_file.h"

namespace thimble {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int64_t kMostBytes = 64 * kMiB;

void check_numbers(const std::vector<float>& numbers, const char* name) {
  require(numbers.size() == 1 || numbers.size() == 3, name, " has ", numbers.size(),
          " numbers, needs 1 or 3");
  for (const float x : numbers) require(std::isfinite(x), name, " has a number that is not finite");
}

RunData data_in(const json& root) {
  RunData data;
  data.classes = root.at("classes").get<std::vector<std::string>>();
  const json& pixels = root.at("pixels");
  data.pixels.mean = pixels.at("mean").get<std::vector<float>>();
  data.pixels.std = pixels.at("std").get<std::vector<float>>();
  data.pixels.bgr = pixels.at("bgr").get<bool>();
  check_numbers(data.pixels.mean, "mean");
  check_numbers(data.pixels.std, "std");
  return data;
}

}  // namespace

std::vector<std::string> class_names(const Dataset& data, int64_t classes) {
  std::vector<std::string> names = data.class_names();
  for (int64_t c = data.classes(); c < classes; ++c) names.push_back(str_cat("class ", c));
  return names;
}

RunData run_data_of(const Setup& setup) {
  const DatasetInfo& info = setup.test_data->info();
  const LoaderOptions& loader = setup.test_loader;
  return {class_names(*setup.test_data, setup.options.model.classes),
          {loader.mean.empty() ? info.mean : loader.mean,
           loader.std.empty() ? info.std : loader.std, loader.bgr}};
}

void write_run_data(const std::string& path, const RunData& data) {
  const ordered_json root = {
      {"classes", data.classes},
      {"pixels", {{"mean", data.pixels.mean}, {"std", data.pixels.std}, {"bgr", data.pixels.bgr}}}};
  // Names of folders need not be UTF-8: such bytes are replaced.
  const std::string text = root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + '\n';
  AsideFile file(path);
  file.write(text.data(), static_cast<int64_t>(text.size()));
  file.commit();
}

RunData read_run_data(const std::string& path) {
  std::error_code error;
  require(std::filesystem::exists(path, error), path,
          ": is not there: an older thimble made this run; hint: `thimble train --resume` with the "
          "run's flags writes it");
  const json root = json::parse(read_text(path, kMostBytes), nullptr, /*allow_exceptions=*/false);
  require(root.is_object(), path, ": is not a JSON object");
  try {
    return data_in(root);
  } catch (const json::exception& e) {
    throw UserError(str_cat(path, ": is broken: ", e.what()));
  } catch (const UserError& e) {
    throw UserError(str_cat(path, ": ", e.what()));
  }
}

}  // namespace thimble
