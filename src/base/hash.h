#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace thimble {

// FNV-1a, 64 bits: the same number on every machine, so that files and random streams may be named
// by it.
class Hash {
 public:
  void add(const void* data, size_t bytes) {
    const auto* p = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < bytes; ++i) value_ = (value_ ^ p[i]) * 0x100000001b3u;
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

// Sixteen digits: fit for names of files.
inline std::string hex_of(uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

inline uint64_t hash_of(std::string_view text) {
  Hash hash;
  hash.add(text.data(), text.size());
  return hash.value();
}

}  // namespace thimble
