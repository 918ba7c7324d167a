#include "planner/storage_speed.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/aside_file.h"
#include "base/bytes.h"
#include "base/child_task.h"
#include "base/page_file.h"
#include "planner/cost_model.h"

namespace thimble {
namespace {

constexpr int64_t kPages = 16;
constexpr int64_t kPageBytes = 4 * kMiB;
constexpr double kMostSeconds = 0.9;  // in each direction

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Of this process, all threads.
double processor_seconds() {
  rusage used = {};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// A file for each device: "storage-254-0.txt". Empty when there is no place for it.
std::string cache_file(const std::string& folder) {
  struct stat status = {};
  if (::stat(folder.c_str(), &status) != 0 || cache_folder().empty()) return "";
  return cache_folder() +
         str_cat("/storage-", major(status.st_dev), '-', minor(status.st_dev), ".txt");
}

std::string text_of(const StorageSpeed& s) {
  return str_cat(machine_identity(), '\n', s.write_bytes_per_second, ' ', s.read_bytes_per_second,
                 ' ', s.copy_seconds_per_byte, '\n');
}

StorageSpeed parse_storage(std::istream& in) {
  std::string identity;
  StorageSpeed s;
  const bool sense =
      std::getline(in, identity) && identity == machine_identity() &&
      in >> s.write_bytes_per_second >> s.read_bytes_per_second >> s.copy_seconds_per_byte &&
      s.write_bytes_per_second > 0 && s.read_bytes_per_second > 0 && s.copy_seconds_per_byte >= 0;
  return sense ? s : StorageSpeed{};
}

// As a run does it; what was written is read again, and neither stays in the system's cache.
StorageSpeed measure(const std::string& folder) {
  // A small device is measured on what it has.
  std::error_code unknown;
  const auto space = std::filesystem::space(folder, unknown);
  const int64_t pages_free = unknown ? kPages : static_cast<int64_t>(space.available) / kPageBytes;
  const int64_t most_pages = std::clamp<int64_t>(pages_free / 2, 1, kPages);
  PageFile file(folder);
  for (int64_t p = 0; p < most_pages; ++p) file.book(p, kPageBytes);
  file.open();
  std::vector<std::byte> memory(static_cast<size_t>(kPageBytes));
  // Not all the same: some devices and file systems write that faster.
  uint32_t x = 1;
  for (std::byte& b : memory) b = static_cast<std::byte>((x = x * 1664525 + 1013904223) >> 24);
  const double busy_before = processor_seconds();
  const auto in_time = [&](int64_t most, auto transfer, bool flush) {
    const auto begin = std::chrono::steady_clock::now();
    int64_t pages = 0;
    while (pages < most && (pages < 1 || seconds_since(begin) < kMostSeconds)) transfer(pages++);
    if (flush) file.flush();
    return std::pair(pages, static_cast<double>(pages * kPageBytes) / seconds_since(begin));
  };
  const auto [written, write_speed] = in_time(
      most_pages,
      [&](int64_t page) {
        file.start_write(page, memory.data());
        file.wait(page);
      },
      true);
  const auto [read, read_speed] = in_time(
      written,
      [&](int64_t page) {
        file.start_read(page, memory.data());
        file.wait(page);
      },
      false);
  const auto bytes = static_cast<double>((written + read) * kPageBytes);
  return {write_speed, read_speed, (processor_seconds() - busy_before) / bytes};
}

}  // namespace

StorageSpeed known_storage(const std::string& folder) {
  std::ifstream in(cache_file(folder));
  return parse_storage(in);
}

void keep_storage(const std::string& folder, const StorageSpeed& speed) {
  const std::string kept = cache_file(folder);
  if (kept.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(cache_folder(), ignored);
  AsideFile file(kept);
  const std::string line = text_of(speed);
  file.write(line.data(), std::ssize(line));
  file.commit();
}

StorageSpeed measure_storage(const std::string& folder) {
  StorageSpeed speed;
  try {
    ChildTask child([&] { return text_of(measure(folder)); });
    std::istringstream text(child.result());
    speed = parse_storage(text);
    if (speed != StorageSpeed{}) keep_storage(folder, speed);
  } catch (const UserError&) {
    if (speed == StorageSpeed{}) throw;  // of the folder; what cannot be kept is measured again
  } catch (const std::exception&) {
    // Best effort, as with the machine.
  }
  return speed;
}

}  // namespace thimble
