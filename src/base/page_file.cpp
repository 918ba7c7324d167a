#include "base/page_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/unnamed_file.h"
#include "base/whole_io.h"

namespace thimble {
namespace {

constexpr int64_t kPieceBytes = 4 * kMiB;
constexpr int64_t kBlockBytes = 4096;  // pages begin at blocks of the device

size_t index(int64_t i) { return static_cast<size_t>(i); }

// All bytes in one direction; errno, or 0.
template <class Call>
int transfer_all(int64_t offset, int64_t bytes, std::byte* memory, const Call& call) {
  while (bytes > 0) {
    const ssize_t done = call(memory, static_cast<size_t>(bytes), offset);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;  // the file is shorter than it was made
    memory += done;
    offset += done;
    bytes -= done;
  }
  return 0;
}

}  // namespace

PageFile::PageFile(std::string folder) : folder_(std::move(folder)) {}

PageFile::~PageFile() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  started_.notify_all();
  thread_.join();
  if (file_ >= 0) ::close(file_);
}

void PageFile::book(int64_t page, int64_t bytes) {
  ensure(page >= 0 && bytes > 0, "page ", page, " cannot have ", bytes, " bytes");
  if (pages_.size() <= index(page)) pages_.resize(index(page) + 1);
  Page& p = pages_[index(page)];
  if (p.bytes == bytes) return;
  ensure(p.bytes == 0 && file_ < 0, "page ", page, " was booked with ", p.bytes,
         " bytes, now with ", bytes);
  p.bytes = bytes;
}

void PageFile::open() {
  ensure(file_ < 0, "the page file is open");
  for (Page& p : pages_) {
    p.offset = bytes_;
    bytes_ += round_up(p.bytes, kBlockBytes);
  }
  queue_.resize(std::max<size_t>(pages_.size(), 1));
  file_ = open_unnamed(folder_);
  require(file_ >= 0, folder_, ": cannot make a file for pages: ", std::strerror(errno),
          "; name another folder with --offload");
  const int failed = bytes_ == 0 ? 0 : take_room(file_, bytes_);
  require(failed == 0, folder_, ": has no room for ", format_bytes(bytes_),
          " of pages: ", std::strerror(failed),
          "; name another folder with --offload, or train without it");
  thread_.start(
      [](void* self) -> void* {
        static_cast<PageFile*>(self)->serve();
        return nullptr;
      },
      this);
}

PageFile::Page& PageFile::at(int64_t page) {
  ensure(file_ >= 0 && page >= 0 && page < std::ssize(pages_), "there is no page ", page);
  return pages_[index(page)];
}

void PageFile::start_write(int64_t page, const void* from) {
  start(page, const_cast<std::byte*>(static_cast<const std::byte*>(from)), true);
}

void PageFile::start_read(int64_t page, void* to) {
  start(page, static_cast<std::byte*>(to), false);
}

void PageFile::start(int64_t page, std::byte* memory, bool writes) {
  {
    const std::lock_guard lock(mutex_);
    Page& p = at(page);
    ensure(!p.pending, "page ", page, " is under way");
    p.memory = memory;
    p.writes = writes;
    p.pending = true;
    queue_[(first_ + count_++) % queue_.size()] = page;
  }
  started_.notify_one();
}

void PageFile::wait(int64_t page) {
  std::unique_lock lock(mutex_);
  const Page& p = at(page);
  ended_.wait(lock, [&] { return !p.pending; });
  require(p.error == 0, folder_, ": cannot ", p.writes ? "write" : "read",
          " the pages of --offload: ", std::strerror(p.error));
}

void PageFile::flush() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [&] { return count_ == 0; });
  require(::fdatasync(file_) == 0, folder_,
          ": cannot write the pages of --offload: ", std::strerror(errno));
  ::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED);
}

void PageFile::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    started_.wait(lock, [&] { return stop_ || count_ > 0; });
    if (stop_) return;
    Page& p = pages_[index(queue_[first_])];
    lock.unlock();
    const int error = p.writes ? write(p) : read(p);
    lock.lock();
    p.error = error;
    p.pending = false;
    first_ = (first_ + 1) % queue_.size();
    --count_;
    ended_.notify_all();
  }
}

// What was written must not stay in the system's cache: a small device has no room there either.
// The device works on one piece while the next one is copied.
int PageFile::write(const Page& p) {
  for (int64_t done = 0; done < p.bytes; done += kPieceBytes) {
    const int64_t bytes = std::min(kPieceBytes, p.bytes - done);
    const int64_t offset = p.offset + done;
    const int error = transfer_all(offset, bytes, p.memory + done,
                                   [&](const std::byte* from, size_t count, int64_t to) {
                                     return ::pwrite(file_, from, count, to);
                                   });
    if (error != 0) return error;
#ifdef __linux__
    ::sync_file_range(file_, offset, bytes, SYNC_FILE_RANGE_WRITE);
#endif
    const int late = retire();
    if (late != 0) return late;
    behind_ = {offset, bytes};
  }
  return 0;
}

int PageFile::retire() {
  if (behind_.bytes == 0) return 0;
  const Range range = std::exchange(behind_, {});
#ifdef __linux__
  const int failed = ::sync_file_range(
      file_, range.offset, range.bytes,
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  // A file system that cannot: its pages stay in the cache until it writes them.
  if (failed != 0 && errno != ENOSYS && errno != EINVAL && errno != ESPIPE) return errno;
#endif
  ::posix_fadvise(file_, range.offset, range.bytes, POSIX_FADV_DONTNEED);
  return 0;
}

// The device reads one piece while the one before is copied.
int PageFile::read(const Page& p) {
  for (int64_t done = 0; done < p.bytes; done += kPieceBytes) {
    const int64_t bytes = std::min(kPieceBytes, p.bytes - done);
    const int64_t offset = p.offset + done;
    if (done == 0) ::posix_fadvise(file_, offset, bytes, POSIX_FADV_WILLNEED);
    const int64_t next = std::min(kPieceBytes, p.bytes - done - bytes);
    if (next > 0) ::posix_fadvise(file_, offset + bytes, next, POSIX_FADV_WILLNEED);
    const int error = transfer_all(
        offset, bytes, p.memory + done,
        [&](std::byte* to, size_t count, int64_t from) { return ::pread(file_, to, count, from); });
    if (error != 0) return error;
    ::posix_fadvise(file_, offset, bytes, POSIX_FADV_DONTNEED);
  }
  return 0;
}

}  // namespace thimble
