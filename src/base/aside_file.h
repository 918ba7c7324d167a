#pragma once

#include <cstdint>
#include <string>

namespace thimble {

// A file that is written beside its place, as `.<name>.tmp-<pid>`, and moved there when it is
// whole: at `path` are the old bytes or the new ones, also after a crash or on a full disk.
class AsideFile {
 public:
  // Removes what dead processes left of writing `path`. Throws UserError, as all below.
  explicit AsideFile(std::string path);
  ~AsideFile();  // removes the file aside unless it was moved
  AsideFile(const AsideFile&) = delete;
  AsideFile& operator=(const AsideFile&) = delete;

  // Before the first write: takes the room that the whole file needs. errno when the disk does not
  // have it, or 0.
  int take_room(int64_t bytes);
  void write(const void* bytes, int64_t count);
  void commit();  // the bytes and the name are on the disk when it returns

 private:
  [[noreturn]] void fail() const;  // with what the system said

  std::string path_;
  std::string aside_path_;
  int fd_;
};

// Where this process may keep what it needs to write `path`, until it removes it:
// `.<name>.tmp-<pid>`.
std::string aside_path(const std::string& path);
// Removes what dead processes left of writing `path`, and of writing what they kept there.
void remove_stale_asides(const std::string& path);

// Removes every `.<name>.tmp-<number>` in the folder, whoever made it: for the only process that
// may write there. A number may belong to a new process by now, or to one that is not yet reaped.
void remove_aside_files(const std::string& folder);

}  // namespace thimble
