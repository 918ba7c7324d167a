#pragma once

#include <memory>
#include <string>

#include "base/aside_file.h"

namespace thimble::cli {

// A file that a flag names. Made aside at once, so that a place where nothing can be written is
// known before long work; moved to its place when it is written.
class OutputFile {
 public:
  OutputFile(const std::string& flag, const std::string& path);  // nothing when the path is empty
  bool wanted() const { return file_ != nullptr; }
  void write(const std::string& text);

 private:
  std::unique_ptr<AsideFile> file_;
};

}  // namespace thimble::cli
