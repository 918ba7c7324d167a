#include "backends/onednn/primitive.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/process_memory.h"

namespace thimble::onednn {
namespace {

constexpr int64_t kScratchAlignment = 64;

class BoundPrimitives : public BoundKernel {
 public:
  class Call {
   public:
    explicit Call(const_dnnl_primitive_t primitive) : primitive_(primitive) {}
    void add(int id, dnnl::memory memory) {
      arguments_.push_back({id, memory.get()});
      memories_.push_back(std::move(memory));
    }
    void run(dnnl_stream_t stream) const {
      const dnnl_status_t status = dnnl_primitive_execute(
          primitive_, stream, static_cast<int>(arguments_.size()), arguments_.data());
      ensure(status == dnnl_success, "oneDNN failed to run a primitive, status ", status);
    }

   private:
    const_dnnl_primitive_t primitive_;
    std::vector<dnnl::memory> memories_;
    std::vector<dnnl_exec_arg_t> arguments_;
  };

  explicit BoundPrimitives(dnnl_stream_t stream) : stream_(stream) {}
  Call& add(const_dnnl_primitive_t primitive) { return calls_.emplace_back(primitive); }
  void run() override {
    for (const Call& call : calls_) call.run(stream_);
  }

 private:
  dnnl_stream_t stream_;
  std::vector<Call> calls_;
};

}  // namespace

Source PrimitiveKernel::reserve(int64_t bytes) {
  const auto offset = static_cast<size_t>(reserved_bytes_);
  reserved_bytes_ += round_up(bytes, kScratchAlignment);
  return {Source::Kind::scratch, offset};
}

void PrimitiveKernel::add(const dnnl::primitive& primitive, const Desc& scratchpad,
                          std::vector<Argument> arguments) {
  scratchpad_bytes_ = std::max(scratchpad_bytes_, static_cast<int64_t>(scratchpad.get_size()));
  calls_.push_back({primitive, std::move(arguments), scratchpad});
  // Making a primitive passes through much code of the library, which need not stay.
  release_code_pages();
}

void PrimitiveKernel::add_reorder(const Desc& from_desc, Source from, const Desc& to_desc,
                                  Source to) {
  const dnnl::reorder::primitive_desc desc(engine_, from_desc, engine_, to_desc, user_scratchpad());
  add(dnnl::reorder(desc), desc.scratchpad_desc(),
      {{DNNL_ARG_FROM, from_desc, from}, {DNNL_ARG_TO, to_desc, to}});
}

Source PrimitiveKernel::add_reorder(const Desc& from_desc, Source from, const Desc& to_desc) {
  const Source to = reserve(static_cast<int64_t>(to_desc.get_size()));
  add_reorder(from_desc, from, to_desc, to);
  return to;
}

std::unique_ptr<BoundKernel> PrimitiveKernel::bind(const KernelBuffers& buffers) const {
  auto* scratch = static_cast<std::byte*>(buffers.scratch);
  auto result = std::make_unique<BoundPrimitives>(stream_.get());
  for (const Call& call : calls_) {
    auto& bound = result->add(call.primitive.get());
    for (const Argument& a : call.arguments) {
      void* address = nullptr;
      switch (a.source.kind) {
        case Source::Kind::input:
          address = buffers.inputs[a.source.index];
          break;
        case Source::Kind::output:
          address = buffers.outputs[a.source.index];
          break;
        case Source::Kind::scratch:
          address = scratch + a.source.index;
          break;
      }
      bound.add(a.id, dnnl::memory(a.desc, engine_, address));
    }
    if (call.scratchpad.get_size() > 0) {
      bound.add(DNNL_ARG_SCRATCHPAD,
                dnnl::memory(call.scratchpad, engine_, scratch + reserved_bytes_));
    }
  }
  return result;
}

}  // namespace thimble::onednn
