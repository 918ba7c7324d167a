#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace thimble {

// What a network's frozen part makes of each training picture: the values of one example after the
// other, f32 as they lie in memory, and nothing else.
class FeatureFile {
 public:
  // Throws UserError when the file cannot be opened.
  FeatureFile(std::string path, int64_t values);
  ~FeatureFile();
  FeatureFile(const FeatureFile&) = delete;
  FeatureFile& operator=(const FeatureFile&) = delete;

  static int64_t bytes(int64_t values, int64_t examples);  // of the file
  // False: there is no file of this size.
  static bool is_whole(const std::string& path, int64_t values, int64_t examples);
  // What stands for a picture that could not be decoded: no network makes these bits.
  static void mark_broken(std::span<float> values);

  int64_t values() const { return values_; }  // of an example
  // False: the example's picture was broken. Throws UserError when the file does not have it.
  bool read(int64_t example, float* to) const;

 private:
  std::string path_;
  int64_t values_;
  int file_;
};

}  // namespace thimble
