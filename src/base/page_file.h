#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/small_thread.h"

namespace thimble {

// Bytes that wait in a file instead of in memory, in pages of any size, each with its place in the
// file. A thread of its own writes and reads, in the order of the starts, while the caller
// computes. Room is booked first; what is booked is taken from the disk by `open`, so that a full
// disk is known before work begins. Nothing is allocated afterwards. The file has no name: nothing
// is left of it when the process ends in whatever way.
class PageFile {
 public:
  explicit PageFile(std::string folder);  // where the file will be
  ~PageFile();
  PageFile(const PageFile&) = delete;
  PageFile& operator=(const PageFile&) = delete;

  // May be said again of the same page, with the same bytes.
  void book(int64_t page, int64_t bytes);
  // Makes the file, with room for all pages. Throws UserError.
  void open();
  int64_t bytes() const { return bytes_; }  // of the file

  // The memory must stay as it is until `wait`; of a page, one transfer at a time.
  void start_write(int64_t page, const void* from);
  void start_read(int64_t page, void* to);
  // Until the page's transfer has ended. Throws UserError when it failed.
  void wait(int64_t page);
  // Everything written is on the device, and no longer in the system's cache.
  void flush();

 private:
  struct Page {
    int64_t offset = 0;  // in the file
    int64_t bytes = 0;
    std::byte* memory = nullptr;
    bool writes = false;
    bool pending = false;
    int error = 0;  // errno of the last transfer
  };
  struct Range {
    int64_t offset = 0;
    int64_t bytes = 0;
  };

  Page& at(int64_t page);
  void start(int64_t page, std::byte* memory, bool writes);
  void serve();
  int write(const Page& page);
  int read(const Page& page);
  int retire();

  std::string folder_;
  int file_ = -1;
  int64_t bytes_ = 0;
  std::vector<Page> pages_;
  std::vector<int64_t> queue_;  // a ring of page numbers
  size_t first_ = 0, count_ = 0;
  bool stop_ = false;
  Range behind_;  // written last: the device may be at it still
  std::mutex mutex_;
  std::condition_variable started_, ended_;
  SmallThread thread_;
};

}  // namespace thimble
