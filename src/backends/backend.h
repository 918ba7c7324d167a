#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ops/core/op.h"

namespace thimble {

class PageFile;

// How a tensor lies in memory. "plain" is row-major without gaps; other tags belong to a backend.
struct Layout {
  std::string tag;       // empty: not decided yet
  int64_t elements = 0;  // in memory, with padding
  bool decided() const { return !tag.empty(); }
  friend bool operator==(const Layout&, const Layout&) = default;
};
inline constexpr const char* kPlain = "plain";
inline Layout plain_layout(const Shape& shape) { return {kPlain, shape.elements()}; }

// The addresses that a kernel works on; null where a tensor is absent.
struct KernelBuffers {
  std::span<void* const> inputs;
  std::span<void* const> outputs;  // the node's outputs, then its updates
  void* scratch = nullptr;
  PageFile* pages = nullptr;  // of kernels that page; null while nothing runs
};

// A kernel on fixed addresses. `run` never allocates.
class BoundKernel {
 public:
  virtual ~BoundKernel() = default;
  virtual void run() = 0;
};

// A kernel prepared for fixed shapes and layouts. It holds no addresses: all steps of the same
// shapes share one, and bind it to their own. What it binds must not outlive it.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const = 0;
};

// A BoundKernel from a function object that reads only what it captured.
template <class F>
std::unique_ptr<BoundKernel> bound(F run) {
  class Bound : public BoundKernel {
   public:
    explicit Bound(F f) : run_(std::move(f)) {}
    void run() override { run_(); }

   private:
    F run_;
  };
  return std::make_unique<Bound>(std::move(run));
}

struct KernelChoice {
  std::shared_ptr<const Kernel> kernel;  // shared by steps and by schedules
  std::vector<Layout> inputs;            // what the kernel needs; undecided where absent
  std::vector<Layout> outputs;           // what it makes; the node's outputs, then its updates
  int64_t scratch_bytes = 0;
  std::string implementation;  // for people: "portable", "jit:avx512_core"
};

// For a node, a kernel and its scratch bytes.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;
  // What decides the bits of its results, beside the threads: name, version, instruction set.
  virtual std::string identity() const = 0;

  // Called once before the first `choose` of a graph.
  virtual void begin(const Graph& graph) = 0;
  // The kernel for `node`. `layouts[t]` says how tensor t lies in memory so far; the caller inserts
  // a reorder when the choice needs another layout, and adopts it where none was decided. For an
  // output it is a wish: the layout that its reader would like.
  virtual KernelChoice choose(const Graph& graph, const Node& node,
                              const std::vector<Layout>& layouts) = 0;
  // A kernel that copies a tensor of `shape` from one layout to another.
  virtual KernelChoice reorder(const Shape& shape, ElementType type, const Layout& from,
                               const Layout& to) = 0;
};

// "portable" is always there; "onednn" when built in. "auto": the fastest. UserError otherwise.
std::unique_ptr<Backend> make_backend(const std::string& name);
std::vector<std::string> backend_names();

}  // namespace thimble
