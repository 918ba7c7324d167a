#include "data/registry.h"

#include <filesystem>

#include "base/error.h"

namespace thimble {
namespace {

std::string layouts() {
  std::string text;
  for (const DataSource* source : data_sources()) {
    text += str_cat("\n  ", source->name, ": ", source->layout);
  }
  return text;
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const std::string& name_or_path, const std::string& split,
                                      const DataOptions& options) {
  require(split == "train" || split == "test", "no split '", split, "'; needed train or test");
  for (const DataSource* source : data_sources()) {
    if (source->recognise(name_or_path)) {
      return source->open(
          {name_or_path, split, options.cache_dir, options.share_dir, options.classes});
    }
  }
  std::error_code ignored;
  if (!std::filesystem::exists(name_or_path, ignored)) {
    for (const DataSource* source : data_sources()) {
      require(name_or_path != source->name, "data set '", name_or_path,
              "' needs a path: give the folder that holds ", source->layout);
    }
    throw UserError(str_cat("no data set or folder '", name_or_path, "'; known:", layouts()));
  }
  throw UserError(str_cat(name_or_path, ": not a data set in a known layout; known:", layouts()));
}

}  // namespace thimble
