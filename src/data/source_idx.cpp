#include "data/idx.h"

namespace thimble {
namespace {

std::unique_ptr<Dataset> open(const DataSpec& spec) { return open_idx(spec.path, spec, "IDX", {}); }

}  // namespace

const DataSource& data_source_idx() {
  static const DataSource source = {
      "idx", "grey pictures of one size in IDX files, as MNIST",
      "train-images*idx3-ubyte, train-labels*idx1-ubyte and t10k-... (also as .gz)", has_idx_files,
      open};
  return source;
}

}  // namespace thimble
