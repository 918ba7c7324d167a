#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "backends/backend.h"
#include "backends/onednn/api.h"

namespace thimble::onednn {

// Where a primitive's argument comes from when the kernel is bound.
struct Source {
  enum class Kind : uint8_t { input, output, scratch };
  Kind kind = Kind::input;
  size_t index = 0;    // of the input or output; in scratch: the offset in bytes
  int64_t offset = 0;  // in the input or output, in bytes
  friend bool operator==(const Source&, const Source&) = default;
};
inline Source input(size_t i) { return {Source::Kind::input, i}; }
inline Source output(size_t i) { return {Source::Kind::output, i}; }

// A node as one or more oneDNN primitives, run one after the other. Their scratchpads and any
// reordered copies lie in the step's scratch bytes.
class PrimitiveKernel : public Kernel {
 public:
  PrimitiveKernel(const dnnl::engine& engine, const dnnl::stream& stream)
      : engine_(engine), stream_(stream) {}

  struct Argument {
    int id = 0;  // DNNL_ARG_SRC, ...
    Desc desc;
    Source source;
  };
  // Adds a primitive. Its scratchpad may share bytes with other primitives' scratchpads.
  void add(const dnnl::primitive& primitive, const Desc& scratchpad,
           std::vector<Argument> arguments);
  // The same for a primitive that makes one of `count` equal parts of a batch; each part is added,
  // `sign` times, to that of `addend` and put into `dst`, which may be the same.
  struct Sum {
    int64_t count = 1;
    std::vector<int> moving = {};  // arguments that are parts of the batch
    Source made, addend, dst;      // `made` has room for a part
    float sign = 1;
  };
  void add_sum(const dnnl::primitive& primitive, const Desc& scratchpad,
               std::vector<Argument> arguments, Sum sum);
  // Adds a reorder of `from` into fresh scratch bytes and returns the place of the copy.
  Source add_reorder(const Desc& from_desc, Source from, const Desc& to_desc);
  void add_reorder(const Desc& from_desc, Source from, const Desc& to_desc, Source to);
  // Reserves scratch bytes.
  Source reserve(int64_t bytes);

  int64_t scratch_bytes() const { return reserved_bytes_ + scratchpad_bytes_; }

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override;

 private:
  struct Call {
    dnnl::primitive primitive;
    std::vector<Argument> arguments;
    Desc scratchpad;  // of no bytes: none
    std::optional<Sum> sum = {};
  };

  dnnl::engine engine_;
  dnnl::stream stream_;
  std::vector<Call> calls_;
  int64_t reserved_bytes_ = 0;
  int64_t scratchpad_bytes_ = 0;
};

}  // namespace thimble::onednn
