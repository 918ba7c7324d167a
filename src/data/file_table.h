#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace thimble {

// The picture files of `<folder>/<class>/`, sorted by class and then by name. The names stand in
// one block, so that a million files cost their letters and five bytes each.
class FileTable {
 public:
  // Lists .jpg, .jpeg and .png files (in either case; hidden files are left out). Throws UserError
  // when the folder has a class folder that is not in `classes`, or one without pictures.
  FileTable(const std::string& folder, const std::vector<std::string>& classes);

  int64_t size() const { return static_cast<int64_t>(starts_.size()); }
  int64_t label(int64_t index) const;
  const char* name(int64_t index) const;  // without its folder
  int64_t bytes_held() const;             // heap bytes

 private:
  void add_class(const std::string& folder);

  std::string names_;                // each ends with a zero byte
  std::vector<uint32_t> starts_;     // example -> its name's place in `names_`
  std::vector<int64_t> class_ends_;  // label -> examples up to and with this class
};

// The names of the folders in `folder`, sorted; hidden ones are left out.
std::vector<std::string> folders_in(const std::string& folder);

}  // namespace thimble
