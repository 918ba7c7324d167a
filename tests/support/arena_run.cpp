#include "support/arena_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/bf16.h"
#include "memory/check.h"

namespace thimble {
namespace {

constexpr std::byte kPoison{0xFF};
constexpr size_t kGuardBytes = 256;

size_t at(int32_t id) { return static_cast<size_t>(id); }

struct Bytes {
  std::byte* data = nullptr;
  size_t count = 0;
};

bool intersect(Bytes a, Bytes b) { return a.data < b.data + b.count && b.data < a.data + a.count; }

void fill(Bytes b) { std::memset(b.data, static_cast<int>(kPoison), b.count); }

// 64-byte aligned room, zero.
class AlignedBytes {
 public:
  explicit AlignedBytes(int64_t bytes)
      : size_(static_cast<size_t>(bytes)), bytes_(size_ + 64), data_(bytes_.data()) {
    while (reinterpret_cast<uintptr_t>(data_) % 64 != 0) ++data_;
  }
  std::byte* data() { return data_; }
  std::vector<std::byte> take() { return {data_, data_ + size_}; }

 private:
  size_t size_;
  std::vector<std::byte> bytes_;
  std::byte* data_;
};

void copy_kernel(const Kernel& kernel, const void* from, void* to, int64_t scratch_bytes) {
  AlignedBytes scratch(scratch_bytes);
  void* in = const_cast<void*>(from);
  kernel.bind({{&in, 1}, {&to, 1}, scratch.data()})->run();
}

template <class T>
std::vector<std::byte> bytes_as(const std::vector<double>& values) {
  std::vector<T> typed;
  for (double v : values) typed.push_back(static_cast<T>(v));
  const auto raw = std::as_bytes(std::span(typed));
  return {raw.begin(), raw.end()};
}

std::vector<std::byte> to_bytes(ElementType type, const std::vector<double>& values) {
  switch (type) {
    case ElementType::f32:
      return bytes_as<float>(values);
    case ElementType::bf16: {
      std::vector<double> halves;
      for (double v : values) halves.push_back(bf16_of(static_cast<float>(v)));
      return bytes_as<Bf16>(halves);
    }
    case ElementType::i32:
      return bytes_as<int32_t>(values);
    case ElementType::u8:
      return bytes_as<uint8_t>(values);
  }
  return {};
}

template <class T>
std::vector<double> values_as(const std::vector<std::byte>& raw) {
  std::vector<T> typed(raw.size() / sizeof(T));
  std::memcpy(typed.data(), raw.data(), typed.size() * sizeof(T));
  return {typed.begin(), typed.end()};
}

std::vector<double> to_values(ElementType type, const std::vector<std::byte>& raw) {
  switch (type) {
    case ElementType::f32:
      return values_as<float>(raw);
    case ElementType::bf16: {
      std::vector<double> values = values_as<Bf16>(raw);
      for (double& v : values) v = static_cast<double>(float_of(static_cast<Bf16>(v)));
      return values;
    }
    case ElementType::i32:
      return values_as<int32_t>(raw);
    case ElementType::u8:
      return values_as<uint8_t>(raw);
  }
  return {};
}

// Data become activations, which have no layout until somebody reads them and no bytes afterwards.
Graph with_made_data(const Graph& graph) {
  Graph result = graph;
  std::set<TensorId> updated;
  for (const Node& n : graph.nodes) updated.insert(n.updates.begin(), n.updates.end());
  for (size_t t = 0; t < result.tensors.size(); ++t) {
    Tensor& tensor = result.tensors[t];
    const bool keeps = updated.contains(static_cast<TensorId>(t));
    if (tensor.role == Role::data && !keeps) tensor.role = Role::activation;
  }
  return result;
}

}  // namespace

GuardedArena::GuardedArena(int64_t bytes)
    : size_(bytes), memory_(static_cast<size_t>(bytes) + 2 * kGuardBytes + 64, kPoison) {
  data_ = memory_.data() + kGuardBytes;
  while (reinterpret_cast<uintptr_t>(data_) % 64 != 0) ++data_;
}

bool GuardedArena::guards_intact() const {
  const auto poisoned = [](std::byte b) { return b == kPoison; };
  const auto begin = memory_.begin() + static_cast<std::ptrdiff_t>(offset_of(data_));
  return std::all_of(memory_.begin(), begin, poisoned) &&
         std::all_of(begin + size_, memory_.end(), poisoned);
}

int64_t GuardedArena::touched_bytes() const {
  int64_t end = size_;
  while (end > 0 && data_[end - 1] == kPoison) --end;
  return end;
}

// Puts a data tensor into its place at the beginning of the step.
class ArenaRun::Load : public Kernel {
 public:
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    return bound(
        [this, to = buffers.outputs[0]] { std::memcpy(to, value_.data(), value_.size()); });
  }
  void set(std::vector<std::byte> value) { value_ = std::move(value); }

 private:
  std::vector<std::byte> value_;
};

ArenaRun::ArenaRun(const Graph& graph, const std::string& backend, DataFrom from)
    : backend_(make_backend(backend)), loads_(graph.tensors.size()), pages_(testing::TempDir()) {
  std::vector<NamedLayout> layouts;
  schedule_ =
      make_schedule(from == DataFrom::step ? with_made_data(graph) : graph, *backend_, layouts);
  if (from == DataFrom::step) add_loads(graph);
  plan_ = plan_memory(schedule_, place_persistent({&schedule_}, {}));
  const std::vector<std::string> faults = find_faults(schedule_, plan_);
  EXPECT_TRUE(faults.empty()) << faults.size() << " faults, the first: " << faults.at(0);
  arena_ = std::make_unique<GuardedArena>(plan_.arena_bytes);
  executor_ =
      std::make_unique<Executor>(schedule_, plan_, arena_->data(), std::vector<Slots>{}, &pages_);
  if (schedule_.paged_bytes() > 0) pages_.open();
}

void ArenaRun::add_loads(const Graph& graph) {
  std::vector<Step> steps;
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    if (graph.tensors[t].role != Role::data || schedule_.buffers[t].persistent) continue;
    loads_[t] = std::make_shared<Load>();
    Step step;
    step.op = "load";
    step.name = graph.tensors[t].name;
    step.outputs = {static_cast<BufferId>(t)};
    step.kernel = loads_[t];
    steps.push_back(std::move(step));
  }
  schedule_.steps.insert(schedule_.steps.begin(), steps.begin(), steps.end());
}

std::vector<std::byte> ArenaRun::reordered(const Buffer& b, const void* from,
                                           const Layout& from_layout, const Layout& to_layout) {
  const KernelChoice choice = backend_->reorder(b.shape, b.type, from_layout, to_layout);
  AlignedBytes to(to_layout.elements * element_bytes(b.type));
  copy_kernel(*choice.kernel, from, to.data(), choice.scratch_bytes);
  return to.take();
}

std::vector<std::byte> ArenaRun::laid_out(const Buffer& b, const std::vector<double>& values) {
  ensure(static_cast<int64_t>(values.size()) == b.shape.elements(), b.name, " cannot take ",
         values.size(), " values");
  const std::vector<std::byte> plain = to_bytes(b.type, values);
  if (b.layout.tag == kPlain) return plain;
  return reordered(b, plain.data(), plain_layout(b.shape), b.layout);
}

void ArenaRun::write(BufferId buffer, const std::vector<double>& values) {
  const std::vector<std::byte> raw = laid_out(schedule_.buffer(buffer), values);
  std::memcpy(executor_->address(buffer), raw.data(), raw.size());
}

void ArenaRun::set(TensorId tensor, const std::vector<double>& values) {
  const Buffer& b = schedule_.buffer(tensor);
  if (loads_[at(tensor)]) {
    loads_[at(tensor)]->set(laid_out(b, values));
    return;
  }
  const std::vector<std::byte> plain = to_bytes(b.type, values);
  std::vector<std::byte> paged;
  void* place = executor_->address(tensor);
  if (b.page != kNoPage) {
    paged.resize(static_cast<size_t>(b.bytes));
    place = paged.data();
  }
  const auto transfer = std::find_if(schedule_.transfers.begin(), schedule_.transfers.end(),
                                     [&](const Transfer& t) { return t.buffer == tensor; });
  if (transfer == schedule_.transfers.end()) {
    std::memcpy(place, plain.data(), plain.size());
  } else {
    copy_kernel(*transfer->from_plain, plain.data(), place, transfer->scratch_bytes);
  }
  if (b.page == kNoPage) return;
  pages_.start_write(b.page, place);
  pages_.wait(b.page);
}

void ArenaRun::set(const Values& values) {
  for (size_t t = 0; t < values.size(); ++t) {
    if (!values[t].empty()) set(static_cast<TensorId>(t), values[t]);
  }
}

void ArenaRun::run() {
  executor_->run();
  EXPECT_TRUE(arena_->guards_intact()) << schedule_.name << " writes outside its arena";
}

std::vector<std::byte> ArenaRun::bytes(BufferId buffer) {
  const Buffer& b = schedule_.buffer(buffer);
  if (b.page != kNoPage) {
    std::vector<std::byte> paged(static_cast<size_t>(b.bytes));
    pages_.start_read(b.page, paged.data());
    pages_.wait(b.page);
    return paged;
  }
  const auto* place = static_cast<const std::byte*>(executor_->address(buffer));
  if (place == nullptr) return {};  // nobody touches it
  return {place, place + b.bytes};
}

std::vector<double> ArenaRun::get(TensorId tensor) {
  const Buffer& b = schedule_.buffer(tensor);
  std::vector<std::byte> raw = bytes(tensor);
  if (b.layout.tag == kPlain || raw.empty()) return to_values(b.type, raw);
  if (!is_scalar(b.type)) return {};
  const Layout plain = plain_layout(b.shape);
  const std::vector<std::byte> flat = reordered(b, raw.data(), b.layout, plain);
  if (b.layout.elements > plain.elements) {
    // Bringing it back writes zeros into the padding. Compared as numbers: -0 is fine.
    const std::vector<std::byte> again = reordered(b, flat.data(), plain, b.layout);
    const auto got = to_values(b.type, raw);
    const auto clean = to_values(b.type, again);
    const bool nan = std::any_of(clean.begin(), clean.end(), [](double v) { return v != v; });
    EXPECT_TRUE(nan || got == clean) << "the padding of " << b.name << " is not zero";
  }
  return to_values(b.type, flat);
}

Values ArenaRun::run_steps(const Values& corrected) {
  Values values(loads_.size());
  for (size_t s = 0; s < schedule_.steps.size(); ++s) {
    run_checked(s);
    for (BufferId b : schedule_.steps[s].outputs) {
      if (b == kNoBuffer || at(b) >= values.size()) continue;
      values[at(b)] = get(b);
      if (!corrected.empty() && !values[at(b)].empty()) write(b, corrected[at(b)]);
    }
  }
  return values;
}

void ArenaRun::run_checked(size_t s) {
  const Step& step = schedule_.steps[s];
  poison_results(step, s);
  std::vector<std::byte> before = arena_->memory();
  executor_->run_step(s);
  const std::vector<std::byte>& after = arena_->memory();
  const auto allow = [&](const void* place, int64_t count) {
    const size_t begin = arena_->offset_of(place);
    std::memcpy(before.data() + begin, after.data() + begin, static_cast<size_t>(count));
  };
  for (BufferId b : step.outputs) {
    if (b != kNoBuffer) allow(executor_->address(b), schedule_.buffer(b).bytes);
  }
  if (step.scratch_bytes > 0) {
    allow(arena_->data() + plan_.blocks[at(plan_.block_of_scratch[s])].offset, step.scratch_bytes);
  }
  EXPECT_EQ(std::memcmp(before.data(), after.data(), after.size()), 0)
      << "step " << s << " (" << step.op << ' ' << step.name << ", " << step.implementation
      << ") writes outside its outputs";
}

// What the step must write itself: outputs that do not lie over one of its inputs, and scratch.
void ArenaRun::poison_results(const Step& step, size_t s) {
  const auto place = [&](BufferId b) {
    return Bytes{static_cast<std::byte*>(executor_->address(b)),
                 static_cast<size_t>(schedule_.buffer(b).bytes)};
  };
  for (BufferId out : step.outputs) {
    if (out == kNoBuffer) continue;
    const auto overlaps_it = [&](BufferId in) {
      return in != kNoBuffer && intersect(place(in), place(out));
    };
    if (std::none_of(step.inputs.begin(), step.inputs.end(), overlaps_it)) fill(place(out));
  }
  if (step.scratch_bytes > 0) {
    fill({arena_->data() + plan_.blocks[at(plan_.block_of_scratch[s])].offset,
          static_cast<size_t>(step.scratch_bytes)});
  }
}

}  // namespace thimble
