#include "base/error.h"
#include "data/idx.h"

namespace thimble {
namespace {

constexpr const char* kName = "fashion-mnist";

std::unique_ptr<Dataset> open(const DataSpec& spec) {
  const std::string folder = str_cat(spec.share_dir, "/", kName);
  require(has_idx_files(folder), kName, ": no data in ", folder,
          "; hint: apt-get install dataset-fashion-mnist, or give the path of a folder");
  return open_idx(folder, spec, "Fashion-MNIST",
                  {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                   "Sneaker", "Bag", "Ankle boot"});
}

}  // namespace

const DataSource& data_source_fashion_mnist() {
  static const DataSource source = {
      kName, "Fashion-MNIST from the Debian package dataset-fashion-mnist",
      "the name alone is enough", [](const std::string& path) { return path == kName; }, open};
  return source;
}

}  // namespace thimble
