#include "backends/onednn/primitive.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/process_memory.h"
#include "ops/core/kernel.h"

namespace thimble::onednn {
namespace {

constexpr int64_t kScratchAlignment = 64;

// Parts of a batch, one after the other.
struct Parts {
  struct Moving {
    dnnl_memory_t memory;
    std::byte* address;
    int64_t bytes;  // of a part
  };
  int64_t count = 1;
  std::vector<Moving> moving = {};
  const float* made = nullptr;
  const float* addend = nullptr;
  float* dst = nullptr;
  int64_t floats = 0;  // of a part
  float sign = 1;

  void add(int64_t part) const {
    const float* term = addend + part * floats;
    float* out = dst + part * floats;
    parallel_for(floats, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = term[i] + sign * made[i];
    });
  }
};

class BoundPrimitives : public BoundKernel {
 public:
  class Call {
   public:
    explicit Call(const_dnnl_primitive_t primitive) : primitive_(primitive) {}
    void add(int id, dnnl::memory memory) {
      arguments_.push_back({id, memory.get()});
      memories_.push_back(std::move(memory));
    }
    dnnl_memory_t memory(int id) const {
      const auto it = std::find_if(arguments_.begin(), arguments_.end(),
                                   [id](const dnnl_exec_arg_t& a) { return a.arg == id; });
      return it->memory;
    }
    void sum(Parts parts) { parts_ = std::move(parts); }
    void run(dnnl_stream_t stream) const {
      for (int64_t part = 0; part < parts_.count; ++part) {
        for (const auto& [memory, address, bytes] : parts_.moving) {
          check(dnnl_memory_set_data_handle(memory, address + part * bytes));
        }
        check(dnnl_primitive_execute(primitive_, stream, static_cast<int>(arguments_.size()),
                                     arguments_.data()));
        if (parts_.made != nullptr) parts_.add(part);
      }
    }

   private:
    static void check(dnnl_status_t status) {
      ensure(status == dnnl_success, "oneDNN failed to run a primitive, status ", status);
    }

    Parts parts_;
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

void PrimitiveKernel::add_sum(const dnnl::primitive& primitive, const Desc& scratchpad,
                              std::vector<Argument> arguments, Sum sum) {
  add(primitive, scratchpad, std::move(arguments));
  calls_.back().sum = std::move(sum);
}

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
  const auto address_of = [&](Source source) -> std::byte* {
    switch (source.kind) {
      case Source::Kind::input:
        return static_cast<std::byte*>(buffers.inputs[source.index]) + source.offset;
      case Source::Kind::output:
        return static_cast<std::byte*>(buffers.outputs[source.index]) + source.offset;
      case Source::Kind::scratch:
        return scratch + source.index;
    }
    return nullptr;
  };
  for (const Call& call : calls_) {
    auto& bound = result->add(call.primitive.get());
    for (const Argument& a : call.arguments) {
      bound.add(a.id, dnnl::memory(a.desc, engine_, address_of(a.source)));
    }
    if (call.scratchpad.get_size() > 0) {
      bound.add(DNNL_ARG_SCRATCHPAD,
                dnnl::memory(call.scratchpad, engine_, scratch + reserved_bytes_));
    }
    if (!call.sum) continue;
    Parts parts;
    parts.count = call.sum->count;
    parts.made = reinterpret_cast<const float*>(address_of(call.sum->made));
    parts.addend = reinterpret_cast<const float*>(address_of(call.sum->addend));
    parts.dst = reinterpret_cast<float*>(address_of(call.sum->dst));
    parts.sign = call.sum->sign;
    for (const Argument& a : call.arguments) {
      const auto bytes = static_cast<int64_t>(a.desc.get_size());
      if (a.source == call.sum->made) parts.floats = bytes / static_cast<int64_t>(sizeof(float));
      if (std::find(call.sum->moving.begin(), call.sum->moving.end(), a.id) !=
          call.sum->moving.end()) {
        parts.moving.push_back({bound.memory(a.id), address_of(a.source), bytes});
      }
    }
    bound.sum(std::move(parts));
  }
  return result;
}

}  // namespace thimble::onednn
