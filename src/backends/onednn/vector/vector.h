#pragma once

#include <cstdint>

#include "base/bf16.h"
#include "ops/core/small_state.h"

namespace thimble::vector {

// Kernels for the channel-blocked and channels-last layouts, compiled once per instruction set.
// A "line" is the channels of one block at one pixel.

// How a normalised tensor lies in memory, in elements. Pixel p of image n, channel block b starts
// at n*image_stride + b*block_stride + p*pixel_stride.
struct View {
  int64_t images = 0;
  int64_t pixels = 0;  // H*W
  int64_t channels = 0;
  int64_t blocks = 0;  // channel blocks
  int64_t image_stride = 0;
  int64_t block_stride = 0;
  int64_t pixel_stride = 0;
  bool padded = false;  // the last block's unused channels exist in memory and hold zeros
};

enum class Activation : uint8_t { none, relu, relu6, leaky_relu };

// Batch normalisation over one channel block. Lines are numbered over images, then pixels. S is
// what activations are kept as, float or Bf16; all else is float.
template <class S>
struct NormForward {
  View view;
  Activation activation = Activation::none;
  float slope = 0;  // of leaky_relu
  bool training = true;
  float epsilon = 0;
  float scale_floor = 0;  // of batch norm; 0: none
  float momentum = 0;
  const S* src = nullptr;
  const S* addend = nullptr;     // null: none
  const float* gamma = nullptr;  // (C), like all that follow
  const float* beta = nullptr;
  float* mean = nullptr;
  float* inv_std = nullptr;
  float* running_mean = nullptr;
  float* running_var = nullptr;
  S* dst = nullptr;
  // One bit a lane, set where the activation lets the gradient pass: lanes/8 bytes for each line
  // of each block, lines innermost. Null: nobody asks.
  uint8_t* mask = nullptr;
};

template <class S>
struct NormBackward {
  View view;
  Activation activation = Activation::none;
  float slope = 0;
  bool training = true;
  float epsilon = 0;
  float scale_floor = 0;
  const S* src = nullptr;
  const S* diff_dst = nullptr;
  const S* diff_dst_2 = nullptr;  // null: none
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* mean = nullptr;     // frozen: the running statistics
  const float* inv_std = nullptr;  // frozen: the running variance
  const S* dst = nullptr;          // what the activation cut off, when there was an addend
  const uint8_t* mask = nullptr;   // the same, as NormForward wrote it
  S* diff_src = nullptr;           // each output null when nobody wants it
  S* diff_addend = nullptr;
  float* diff_gamma = nullptr;
  float* diff_beta = nullptr;
};

// src of batch norm again, from dst.
template <class S>
struct NormInverse {
  View view;
  Activation activation = Activation::none;  // none or leaky_relu
  float slope = 0;
  bool training = true;
  float epsilon = 0;
  float scale_floor = 0;  // above 0
  const S* dst = nullptr;
  const S* addend = nullptr;  // null: none
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* mean = nullptr;     // frozen: the running statistics
  const float* inv_std = nullptr;  // frozen: the running variance
  S* src = nullptr;
  uint8_t* mask = nullptr;  // as NormForward writes it; null: nobody asks
};

// Sums per channel of a block: twice `kMaxLanes` doubles.
inline constexpr int kMaxLanes = 16;
struct Sums {
  double first[kMaxLanes];
  double second[kMaxLanes];
};

inline constexpr int64_t kGroupValues = 256;  // that of ops/core/groups.h

template <class S>
struct ActivationKernels {
  // Forward: adds the sums of (x - x0) and its square over lines [begin, end); then the statistics
  // of a block from `parts` sums; then the result.
  void (*norm_sums)(const NormForward<S>&, int64_t block, int64_t begin, int64_t end, Sums&);
  void (*norm_statistics)(const NormForward<S>&, int64_t block, const Sums* sums, int64_t parts,
                          int64_t stride);
  void (*norm_apply)(const NormForward<S>&, int64_t block, int64_t begin, int64_t end);
  // Backward: adds the sums of g and g*(x - mean), writing diff_addend on the way; diff_gamma and
  // diff_beta from `parts` of them, and in sums[0] the `centre` and `slope` that are left to
  // subtract; then diff_src = gamma*inv_std*g - centre - slope*(x - mean).
  void (*norm_diff_sums)(const NormBackward<S>&, int64_t block, int64_t begin, int64_t end, Sums&);
  void (*norm_diff_finish)(const NormBackward<S>&, int64_t block, Sums* sums, int64_t parts,
                           int64_t stride);
  void (*norm_diff_apply)(const NormBackward<S>&, int64_t block, int64_t begin, int64_t end,
                          const Sums&);
  void (*norm_inverse)(const NormInverse<S>&, int64_t block, int64_t begin, int64_t end);
  void (*add)(const S* a, const S* b, S* dst, int64_t count);
};

// A pointwise convolution on active blocks of 16 outputs. Units stand in the order of the blocks.
struct SparseConv {
  View src_view, dst_view;
  int64_t blocks = 0;                 // of 16 outputs
  int64_t src_lines = 0;              // of input channels, at one pixel
  const int32_t* begin_of = nullptr;  // by block, and one more: its first active unit
  const int32_t* channel = nullptr;   // by unit: its input channel
  const int32_t* offset = nullptr;    // by unit: what that adds to an address of src
  const float* values = nullptr;      // 16 by unit
  const float* src = nullptr;
  float* dst = nullptr;  // of gradients: diff_dst, which is read
  float* diff_src = nullptr;
  float* diff_values = nullptr;
};

struct SparseKernels {
  // Tasks are tiles of so many pixels of an image; the last one of an image may be smaller.
  int64_t forward_pixels;
  void (*forward)(const SparseConv&, int64_t begin, int64_t end);
  int64_t data_pixels;
  int64_t (*data_scratch)(const SparseConv&);  // floats, of each thread
  void (*backward_data)(const SparseConv&, float* scratch, int64_t begin, int64_t end);
  // Blocks [begin, end).
  void (*backward_weights)(const SparseConv&, int64_t begin, int64_t end);
  void (*unit_gradient)(const SparseConv&, int64_t block, int64_t offset, float* unit);
};

struct Kernels {
  const char* name;
  ActivationKernels<float> f32;
  ActivationKernels<Bf16> bf16;
  // m = momentum*m + (g + decay*w); w -= lr*m
  void (*sgd_momentum)(float* weights, const float* diff, float* velocity, float lr, float momentum,
                       float decay, int64_t count);
  // Whole groups of ops/core/groups.h: smallest and largest value; codes from values; and back.
  void (*group_range)(const float* src, float& low, float& high);
  void (*encode_codes)(const float* src, float inverse, float zero, const uint32_t key[2],
                       bool eight, uint8_t* codes);
  void (*decode_codes)(const uint8_t* codes, float step, float zero, bool eight, float* dst);
  // Blocks of ops/core/small_state.h.
  void (*small_sgd)(const SmallSgd&, int64_t begin, int64_t end);
  void (*small_adam)(const SmallAdam&, int64_t begin, int64_t end);
  SparseKernels sparse;

  template <class S>
  const ActivationKernels<S>& of() const {
    if constexpr (sizeof(S) == sizeof(float)) {
      return f32;
    } else {
      return bf16;
    }
  }
};

// Blocks of 16 channels with AVX-512, of 8 otherwise.
int lanes();
const Kernels& kernels();

}  // namespace thimble::vector
