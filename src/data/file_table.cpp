#include "data/file_table.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/error.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

bool hidden(const std::string& name) { return name.starts_with("."); }

bool is_picture(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos || hidden(name)) return false;
  std::string ending = name.substr(dot + 1);
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending == "jpg" || ending == "jpeg" || ending == "png";
}

// Calls `visit(name)` for each picture in the folder, in no order.
template <class Visit>
void for_each_picture(const std::string& folder, const Visit& visit) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    std::error_code broken;  // a link that leads nowhere is a bad picture, not a bad folder
    if (is_picture(name) && !entry.is_directory(broken)) visit(name);
  }
  require(!error, folder, ": cannot list: ", error.message());
}

}  // namespace

std::vector<std::string> folders_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    std::error_code broken;
    if (!hidden(name) && entry.is_directory(broken)) names.push_back(name);
  }
  require(!error, folder, ": cannot list: ", error.message());
  std::sort(names.begin(), names.end());
  return names;
}

FileTable::FileTable(const std::string& folder, const std::vector<std::string>& classes) {
  const std::vector<std::string> present = folders_in(folder);
  for (const std::string& name : present) {
    require(std::binary_search(classes.begin(), classes.end(), name), folder, "/", name,
            ": not a class of the training data");
  }
  // Counting first makes the tables exact: growing would need up to three times the bytes.
  size_t count = 0;
  size_t letters = 0;
  for (const std::string& name : present) {
    const size_t before = count;
    for_each_picture(folder + "/" + name, [&](const std::string& file) {
      ++count;
      letters += file.size() + 1;
    });
    require(count > before, folder, "/", name, ": no .jpg, .jpeg or .png files");
  }
  require(count > 0, folder, ": no class folders");
  require(letters < std::numeric_limits<uint32_t>::max(), folder, ": too many files");
  names_.reserve(letters);
  starts_.reserve(count);
  class_ends_.reserve(classes.size());
  for (const std::string& name : classes) {
    if (std::binary_search(present.begin(), present.end(), name)) add_class(folder + "/" + name);
    class_ends_.push_back(size());
  }
}

void FileTable::add_class(const std::string& folder) {
  const auto first = static_cast<std::ptrdiff_t>(starts_.size());
  for_each_picture(folder, [this](const std::string& file) {
    starts_.push_back(static_cast<uint32_t>(names_.size()));
    names_.append(file).push_back('\0');
  });
  std::sort(starts_.begin() + first, starts_.end(),
            [this](uint32_t a, uint32_t b) { return std::strcmp(&names_[a], &names_[b]) < 0; });
}

int64_t FileTable::label(int64_t index) const {
  return std::upper_bound(class_ends_.begin(), class_ends_.end(), index) - class_ends_.begin();
}

const char* FileTable::name(int64_t index) const {
  return &names_[starts_[static_cast<size_t>(index)]];
}

int64_t FileTable::bytes_held() const {
  return static_cast<int64_t>(names_.capacity() + 1 + starts_.capacity() * sizeof(uint32_t) +
                              class_ends_.capacity() * sizeof(int64_t));
}

}  // namespace thimble
