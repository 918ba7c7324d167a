#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/parallel.h"
#include "base/shape.h"
#include "graph/attributes.h"
#include "graph/graph.h"

namespace thimble {

inline const Shape kAbsentShape;  // rank 0

// A tensor as a kernel sees it; its shape belongs to whoever prepared the call. `elements` counts
// what lies in memory: with padding, when a blocked layout pads channels; portable kernels that are
// not elementwise always get plain layouts.
struct TensorArg {
  void* data = nullptr;  // null for an absent optional tensor
  const Shape* shape = &kAbsentShape;
  ElementType type = ElementType::f32;
  int64_t elements = 0;
};

// One call of a kernel. Nothing here allocates.
struct OpCall {
  const Attributes& attributes;
  std::span<const TensorArg> inputs;
  std::span<const TensorArg> outputs;  // the node's outputs, then its updates
  void* scratch = nullptr;             // `scratch_scalars` scalars

  bool has_input(size_t i) const { return i < inputs.size() && inputs[i].data != nullptr; }
  bool has_output(size_t i) const { return i < outputs.size() && outputs[i].data != nullptr; }
  const Shape& in_shape(size_t i) const { return *inputs[i].shape; }
  const Shape& out_shape(size_t i) const { return *outputs[i].shape; }
  template <class T>
  const T* in(size_t i) const {
    return has_input(i) ? static_cast<const T*>(inputs[i].data) : nullptr;
  }
  template <class T>
  T* out(size_t i) const {
    return has_output(i) ? static_cast<T*>(outputs[i].data) : nullptr;
  }
};

using PortableKernel = void (*)(const OpCall&);

// The same template in three scalars: float to train; double and complex to test gradients.
struct PortableKernels {
  PortableKernel f32 = nullptr;
  PortableKernel f64 = nullptr;
  PortableKernel c128 = nullptr;

  template <class T>
  PortableKernel of() const {
    if constexpr (std::is_same_v<T, float>) return f32;
    if constexpr (std::is_same_v<T, double>) return f64;
    return c128;
  }
};

// `K` has `template <class T> static void run(const OpCall&)`; a `requires` clause on it may rule
// complex scalars out.
template <class K>
PortableKernels portable_kernels() {
  PortableKernels kernels{&K::template run<float>, &K::template run<double>, nullptr};
  if constexpr (requires { &K::template run<std::complex<double>>; }) {
    kernels.c128 = &K::template run<std::complex<double>>;
  }
  return kernels;
}

// The part of a scalar that decides a branch: complex steps must take the branch of the real part.
template <class T>
T branch_value(T x) {
  return x;
}
template <class T>
T branch_value(std::complex<T> x) {
  return x.real();
}

// The type that long sums of T are made in.
template <class T>
struct AccumulatorOf {
  using Type = T;
};
template <>
struct AccumulatorOf<float> {
  using Type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::Type;

// Work smaller than this many scalar operations stays on one thread.
inline constexpr int64_t kParallelGrain = 16384;

}  // namespace thimble
