#include "cli/output_file.h"

#include <filesystem>

#include "base/error.h"

namespace thimble::cli {

OutputFile::OutputFile(const std::string& flag, const std::string& path) {
  if (path.empty()) return;
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  // A device would be replaced, not written to.
  require(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status), flag,
          " is '", path, "', needs the name of a file");
  file_ = std::make_unique<AsideFile>(path);
}

void OutputFile::write(const std::string& text) {
  file_->write(text.data(), static_cast<int64_t>(text.size()));
  file_->commit();
}

}  // namespace thimble::cli
