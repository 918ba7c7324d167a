#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/registry.h"

namespace thimble {

// True when `folder` holds images of one split in IDX format, packed or not.
bool has_idx_files(const std::string& folder);

// Opens `folder`'s IDX images and labels. `class_names` may be empty: the labels are then named by
// their numbers, of which there are `spec.classes` or those of the training part. Throws UserError
// when a file is missing, cut, of another type, or has a label out of range.
std::unique_ptr<Dataset> open_idx(const std::string& folder, const DataSpec& spec,
                                  const std::string& title, std::vector<std::string> class_names);

}  // namespace thimble
