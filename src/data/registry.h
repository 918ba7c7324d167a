#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace thimble {

// Which files to open.
struct DataSpec {
  std::string path;       // a folder, or a name that a source knows
  std::string split;      // "train" or "test"
  std::string cache_dir;  // where unpacked copies go; empty: the user's cache folder
  std::string share_dir;  // where the system's packages put data sets
  int64_t classes = 0;    // that were asked for; 0: the data says how many there are
};

// One kind of data set. Each lives in `source_<name>.cpp`, which defines
// `const DataSource& data_source_<name>()`.
struct DataSource {
  const char* name;
  const char* summary;
  const char* layout;  // the files that the folder must hold, for error messages
  bool (*recognise)(const std::string& path);
  std::unique_ptr<Dataset> (*open)(const DataSpec& spec);  // throws UserError
};

// Every source in this folder, sorted by name. The build writes its definition.
const std::vector<const DataSource*>& data_sources();

struct DataOptions {
  std::string cache_dir;                          // empty: the user's cache folder
  std::string share_dir = "/usr/share/datasets";  // where the system's packages put data sets
  int64_t classes = 0;  // of labels that have no names; 0: the labels say how many there are
};

// Opens the "train" or "test" part of a well-known data set ("fashion-mnist") or of a folder whose
// layout a source recognises. Throws UserError when nothing fits or a file is missing or broken.
std::unique_ptr<Dataset> open_dataset(const std::string& name_or_path, const std::string& split,
                                      const DataOptions& options = {});

}  // namespace thimble
