#include "backends/onednn/primitive.h"

#include <algorithm>

#include "base/bytes.h"

namespace thimble::onednn {
namespace {
constexpr int64_t kScratchAlignment = 64;
}

Source PrimitiveKernel::reserve(int64_t bytes) {
  const auto offset = static_cast<size_t>(reserved_bytes_);
  reserved_bytes_ += round_up(bytes, kScratchAlignment);
  return {Source::Kind::scratch, offset};
}

void PrimitiveKernel::add(const dnnl::primitive& primitive, const Desc& scratchpad,
                          std::vector<Argument> arguments) {
  Call call{primitive, {}, {}};
  for (const Argument& a : arguments) {
    call.bound.push_back({dnnl::memory(a.desc, engine_, nullptr), a.source});
    call.arguments.push_back({a.id, call.bound.back().memory.get()});
  }
  if (scratchpad.get_size() > 0) {
    scratchpad_bytes_ = std::max(scratchpad_bytes_, static_cast<int64_t>(scratchpad.get_size()));
    call.bound.push_back({dnnl::memory(scratchpad, engine_, nullptr), {}, true});
    call.arguments.push_back({DNNL_ARG_SCRATCHPAD, call.bound.back().memory.get()});
  }
  calls_.push_back(std::move(call));
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

void PrimitiveKernel::bind(const KernelBuffers& buffers) {
  auto* scratch = static_cast<std::byte*>(buffers.scratch);
  for (Call& call : calls_) {
    for (Bound& b : call.bound) {
      void* address = nullptr;
      switch (b.source.kind) {
        case Source::Kind::input:
          address = buffers.inputs[b.source.index];
          break;
        case Source::Kind::output:
          address = buffers.outputs[b.source.index];
          break;
        case Source::Kind::scratch:
          address = scratch + b.source.index;
          break;
      }
      if (b.is_scratchpad) address = scratch + reserved_bytes_;
      b.memory.set_data_handle(address);
    }
  }
}

void PrimitiveKernel::run() {
  for (Call& call : calls_) {
    const dnnl_status_t status =
        dnnl_primitive_execute(call.primitive.get(), stream_.get(),
                               static_cast<int>(call.arguments.size()), call.arguments.data());
    ensure(status == dnnl_success, "oneDNN failed to run a primitive, status ", status);
  }
}

}  // namespace thimble::onednn
