#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace thimble {

// Hands out pieces of one block, in order; everything is free again when the pool is gone. Image
// libraries allocate from it, so that a picture cannot use more than was booked.
class BumpPool {
 public:
  // `memory` must be aligned to kAlignment and outlive the pool.
  explicit BumpPool(std::span<std::byte> memory) : memory_(memory) {}

  // A piece aligned to kAlignment, or nullptr when the block has no room for it.
  void* take(size_t bytes) {
    if (bytes > memory_.size() - used_) {
      refused_ = bytes;
      return nullptr;
    }
    last_ = used_;
    // Rounding may pass the end of the block; the next request is then refused.
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    used_ = rounded < memory_.size() - used_ ? used_ + rounded : memory_.size();
    return memory_.data() + last_;
  }

  // Takes back the newest piece; other pieces stay until the end.
  void give_back(const void* piece) {
    if (piece == memory_.data() + last_) used_ = last_;
  }

  size_t size() const { return memory_.size(); }

  // Bytes that would have been enough up to the request that was refused.
  size_t needed() const { return used_ + refused_; }

  static constexpr size_t kAlignment = 64;

 private:
  std::span<std::byte> memory_;
  size_t used_ = 0;
  size_t last_ = 0;
  size_t refused_ = 0;
};

}  // namespace thimble
