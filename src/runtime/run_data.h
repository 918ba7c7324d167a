#pragma once

#include <string>
#include <vector>

#include "data/pixels.h"
#include "runtime/setup.h"

namespace thimble {

// What a trained model needs to know of its data once that is gone: data.json of a run folder.
struct RunData {
  std::vector<std::string> classes;  // names, by label
  PixelNumbers pixels;
};

// The names of so many classes, of which the data may name fewer.
std::vector<std::string> class_names(const Dataset& data, int64_t classes);

// Of a setup whose data are open.
RunData run_data_of(const Setup& setup);

// Both throw UserError naming the file.
void write_run_data(const std::string& path, const RunData& data);
RunData read_run_data(const std::string& path);

}  // namespace thimble
