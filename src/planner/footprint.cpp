#include "planner/footprint.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/bytes.h"
#include "base/parallel.h"
#include "base/process_memory.h"
#include "memory/bind.h"

namespace thimble {
namespace {

// Pages that a run touches after planning: the code of kernels and libraries, checkpoint files, and
// a little for each tensor that these hold. Measured over the zoo; see experiments/process-bytes.
constexpr int64_t kLateBytesOneDnn = 1344 * kKiB;
#ifdef THIMBLE_HAS_ONEDNN
constexpr int64_t kLateBytesPortable = 896 * kKiB;  // shared libraries come back in larger pieces
#else
constexpr int64_t kLateBytesPortable = 64 * kKiB;  // one static program, its code in order
#endif
constexpr int64_t kLateBytesPerTensor = 576;
constexpr int64_t kLateBytesPaging =
    640 * kKiB;  // the stack of the thread that pages, and its code
// Kernels that would run for long are not run to find out.
constexpr int64_t kMostFlopsPortable = 20'000'000;
constexpr int64_t kLateBytesNotRunPortable = 16 * kKiB;  // each
constexpr int64_t kLateBytesNotRunOneDnn = 64 * kKiB;
constexpr int64_t kBytesOfBoundKernel = 2 * kKiB;  // that is not bound to find out
// What reading rows takes, when no data was named that could be tried.
constexpr int64_t kReadingBytes = 512 * kKiB;

// Starts the threads that will run the kernels and touches what they will use of their stacks, so
// that it is resident and counted.
void start_threads() {
  parallel_for(thread_count(), 1, [](int64_t, int64_t) {
    std::array<volatile char, 24 * kKiB> stack;
    for (size_t i = 0; i < stack.size(); i += 512) stack[i] = 0;
  });
}

int64_t late_bytes(const std::string& backend, const std::vector<const Program*>& programs) {
  int64_t tensors = 0;
  bool pages = false;
  for (const Program* p : programs) {
    const auto& buffers = p->schedule.buffers;
    tensors =
        std::max<int64_t>(tensors, std::count_if(buffers.begin(), buffers.end(),
                                                 [](const Buffer& b) { return b.persistent; }));
    for (const Step& step : p->schedule.steps) pages = pages || step.paging != Paging::none;
  }
  return (backend == "portable" ? kLateBytesPortable : kLateBytesOneDnn) +
         kLateBytesPerTensor * tensors + (pages ? kLateBytesPaging : 0);
}

// Addresses without memory behind them: kernels can be bound there before the arena exists.
class AddressRange {
 public:
  explicit AddressRange(int64_t bytes) : bytes_(static_cast<size_t>(std::max<int64_t>(bytes, 1))) {
    void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require(p != MAP_FAILED, "the system does not give ", format_bytes(bytes),
            " of addresses; lower the batch or raise the limit of the shell (ulimit -v)");
    data_ = static_cast<std::byte*>(p);
  }
  ~AddressRange() { munmap(data_, bytes_); }
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;

  std::byte* data() const { return data_; }
  // After what was touched: oneDNN zeroes the padding of what it binds.
  void forget() { madvise(data_, bytes_, MADV_DONTNEED); }

 private:
  size_t bytes_;
  std::byte* data_ = nullptr;
};

// Kernels that run the same code, as far as can be seen from here: a convolution's code depends on
// its window and its stride too, and oneDNN fills padded channels with zeros by a primitive that it
// makes when it first needs it.
std::string kind_of(const Schedule& schedule, const Step& step) {
  std::string kind = str_cat(step.op, ' ', step.implementation);
  bool padded = false;
  int64_t highest = 0, lowest = INT64_MAX;  // of maps, whose ratio is the stride
  for (const auto* ids : {&step.inputs, &step.outputs}) {
    for (BufferId b : *ids) {
      if (b == kNoBuffer || schedule.buffer(b).shape.rank() != 4) continue;
      const Buffer& buffer = schedule.buffer(b);
      padded = padded || buffer.bytes > buffer.shape.elements() * element_bytes(buffer.type);
      if (buffer.category == Category::weights || buffer.category == Category::gradients) {
        kind += str_cat(' ', buffer.shape[2], 'x', buffer.shape[3]);
      } else {
        highest = std::max(highest, buffer.shape[2]);
        lowest = std::min(lowest, buffer.shape[2]);
      }
    }
  }
  if (padded) kind += " padded";
  return highest > 0 ? str_cat(kind, ' ', highest / lowest) : kind;
}

int64_t touched_bytes(const Schedule& schedule, const Step& step) {
  int64_t bytes = step.scratch_bytes;
  for (const auto* ids : {&step.inputs, &step.outputs}) {
    for (BufferId b : *ids) bytes += b == kNoBuffer ? 0 : schedule.buffer(b).bytes;
  }
  return bytes;
}

// The kernel of each kind that touches least.
struct Smallest {
  int64_t bytes = 0;
  int64_t flops = 0;
  BoundKernel* kernel = nullptr;
};

}  // namespace

int64_t measure_fixed_bytes(const std::vector<const Program*>& programs, int64_t arena_bytes,
                            const std::string& backend, int64_t most_touched,
                            const std::function<void()>& warm_up) {
  AddressRange arena(arena_bytes);
  int64_t not_counted = 0;
  std::vector<std::unique_ptr<BoundKernel>> bound;
  std::map<std::string, Smallest> kinds;
  for (const Program* p : programs) {
    const Addresses addresses = addresses_in(arena.data(), p->memory);
    for (size_t s = 0; s < p->schedule.steps.size(); ++s) {
      const Step& step = p->schedule.steps[s];
      const int64_t bytes = touched_bytes(p->schedule, step);
      BoundKernel* kernel = nullptr;
      if (bytes <= most_touched) {
        kernel = bound.emplace_back(bind_step(p->schedule, s, addresses)).get();
        arena.forget();
      } else {
        not_counted += kBytesOfBoundKernel;
      }
      if (step.paging != Paging::none) continue;  // there is no file yet
      const auto [it, fresh] = kinds.try_emplace(kind_of(p->schedule, step));
      if (fresh || bytes < it->second.bytes) it->second = {bytes, step.flops, kernel};
    }
  }
  start_threads();
  release_what_is_done();
  if (warm_up) warm_up();
  release_free_heap();
  // One run of each kind of kernel makes its code resident, so that it is counted.
  const bool portable = backend == "portable";
  for (const auto& [kind, smallest] : kinds) {
    if (smallest.kernel == nullptr || (portable && smallest.flops > kMostFlopsPortable)) {
      not_counted += portable ? kLateBytesNotRunPortable : kLateBytesNotRunOneDnn;
      continue;
    }
    smallest.kernel->run();
    arena.forget();
  }
  const int64_t reading = warm_up ? 0 : kReadingBytes;
  return round_up(resident_bytes() + late_bytes(backend, programs) + not_counted + reading,
                  4 * kKiB);
}

}  // namespace thimble
