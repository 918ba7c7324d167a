#pragma once

#include <complex>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "ops/core/op.h"

namespace thimble {

// Tensor values by id; empty where a tensor has none.
using Values = std::vector<std::vector<double>>;

// Memory between two guards. `fill` is what it holds before anybody writes.
class GuardedBuffer {
 public:
  GuardedBuffer(int64_t bytes, std::byte fill);

  void* data() { return bytes_.data() + kGuardBytes; }
  std::span<std::byte> bytes() { return std::span(bytes_).subspan(kGuardBytes, size_); }
  bool guards_intact() const;

 private:
  static constexpr size_t kGuardBytes = 64;
  size_t size_;
  std::vector<std::byte> bytes_;
};

// Runs a graph with the portable kernels, naively: each tensor in its own guarded buffer, filled
// with `fill` before its node runs (all ones: NaN in every float type). T is float, double or
// std::complex<double>. Throws InternalError when a kernel writes outside its outputs and updates.
template <class T>
class Interpreter {
 public:
  explicit Interpreter(const Graph& graph, std::byte fill = std::byte{0xFF});

  void set(TensorId id, const std::vector<double>& values);
  void set(const Values& values);              // those that are not empty
  std::vector<double> get(TensorId id) const;  // real parts
  Values get() const;

  std::span<T> scalars(TensorId id) const;  // of an f32 tensor
  std::span<std::byte> bytes(TensorId id) const;
  void poison(TensorId id);  // all ones

  void run() { run(0, graph_.nodes.size()); }
  void run(size_t begin, size_t end);
  // Runs one node with each pair's output in the memory of its input.
  void run_in_place(size_t node, std::span<const InPlacePair> pairs);

 private:
  GuardedBuffer& buffer(TensorId id) const { return *buffers_[static_cast<size_t>(id)]; }
  TensorArg argument(TensorId id) const;
  void call(const Node& node);

  const Graph& graph_;
  std::byte fill_;
  std::vector<std::shared_ptr<GuardedBuffer>> buffers_;  // shared by tensors run in place
};

}  // namespace thimble
