#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/aside_file.h"
#include "data/input_file.h"

namespace thimble {

// A tensor of a safetensors file (github.com/huggingface/safetensors): 8 bytes of little-endian
// header length, a JSON header, and the tensors' bytes without gaps.
struct TensorEntry {
  std::string name;            // unique in the file
  std::string dtype = "F32";   // as in the file: F32, I32, U8, ...
  std::vector<int64_t> shape;  // outermost first; empty for a scalar
  int64_t bytes = 0;           // of the data: those of dtype times the elements of shape
  friend bool operator==(const TensorEntry&, const TensorEntry&) = default;
};

// Streams a file: the whole layout comes first, then the tensors' bytes in that order, so that
// nothing is held. What is at `path` stays untouched until `finish`.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, const std::vector<TensorEntry>& entries,
                    const std::map<std::string, std::string>& metadata = {});

  void write(const void* bytes, int64_t count);  // the next bytes, in pieces of any size
  void finish();                                 // all bytes came: moves the file to `path`

 private:
  AsideFile file_;
  int64_t bytes_left_ = 0;
};

// Opens a file and checks all of its header: afterwards every tensor lies inside the file.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::string& path);

  const std::vector<TensorEntry>& entries() const { return entries_; }  // as they lie in the file
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool has(const std::string& name) const { return index_.contains(name); }
  // Throws UserError when there is no such tensor or it does not have exactly `bytes` bytes.
  void read(const std::string& name, void* to, int64_t bytes) const;
  // So many of its bytes, from `begin` on.
  void read_part(const std::string& name, int64_t begin, void* to, int64_t bytes) const;

 private:
  size_t index_of(const std::string& name) const;

  InputFile file_;
  std::vector<TensorEntry> entries_;
  std::vector<int64_t> offsets_;         // of each entry's first byte in the file
  std::map<std::string, size_t> index_;  // name -> entry
  std::map<std::string, std::string> metadata_;
};

}  // namespace thimble
