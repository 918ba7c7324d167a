#pragma once

#include <string>

namespace thimble {

// What the device under a folder does with pages, one after the other.
struct StorageSpeed {
  double write_bytes_per_second = 0;
  double read_bytes_per_second = 0;
  // Of a processor, for a byte in either direction: taken from who computes on all of them.
  double copy_seconds_per_byte = 0;
  friend bool operator==(const StorageSpeed&, const StorageSpeed&) = default;
};
// Of a solid-state disk behind a slow bus.
inline constexpr StorageSpeed kUsualStorage = {3e8, 5e8, 3e-10};

// What is kept in the user's cache folder of the device that `folder` is on; all zero when it was
// not measured, or by another thimble or on another machine.
StorageSpeed known_storage(const std::string& folder);
// Measures it, in a child process and about two seconds, and keeps it. All zero when measuring
// failed for another reason than the folder. UserError when no file can be made there.
StorageSpeed measure_storage(const std::string& folder);

// As `measure_storage` does with what it measured. UserError when it cannot be kept.
void keep_storage(const std::string& folder, const StorageSpeed& speed);

}  // namespace thimble
