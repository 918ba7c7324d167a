#include "runtime/weights.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/random.h"
#include "runtime/safetensors.h"

namespace thimble {
namespace {

float first_value(const Init& init, const RandomStream& random, uint64_t i) {
  switch (init.kind) {
    case Init::Kind::zeros:
      return 0;
    case Init::Kind::constant:
      return static_cast<float>(init.value);
    case Init::Kind::normal:
      return static_cast<float>(init.value * random.normal(i));
    case Init::Kind::uniform:
      return static_cast<float>(init.value * (2 * random.uniform(i) - 1));
  }
  return 0;
}

// A missing tensor is reported when it is read.
void check_entry(const SafetensorsReader& reader, const std::string& path, const std::string& name,
                 const Shape& wanted) {
  for (const TensorEntry& entry : reader.entries()) {
    if (entry.name != name) continue;
    Shape shape;
    for (int64_t d : entry.shape) {
      if (shape.rank() < Shape::kMaxRank) shape.push_back(d);
    }
    require(entry.dtype == "F32" && shape == wanted, path, ": tensor ", name, " is ", entry.dtype,
            ' ', shape, ", the model needs F32 ", wanted);
  }
}

}  // namespace

WeightStore::WeightStore(const Schedule& schedule, const MemoryPlan& plan, std::byte* arena,
                         int64_t arena_bytes, PageFile* pages)
    : staging_(arena + plan.persistent_bytes), pages_(pages) {
  ensure(plan.persistent_bytes + staging_bytes(schedule) <= arena_bytes,
         "the arena has no room to bring tensors to a file");
  for (size_t b = 0; b < schedule.buffers.size(); ++b) {
    const Buffer& buffer = schedule.buffers[b];
    const bool kept =
        buffer.category == Category::weights || buffer.category == Category::optimizer;
    const int32_t block = plan.block_of_buffer[b];
    const bool somewhere = block >= 0 || buffer.page != kNoPage;
    if (!buffer.persistent || !kept || !somewhere) continue;
    Entry e{&buffer, buffer.shape.elements() * element_bytes(buffer.type), staging_, nullptr};
    if (block >= 0) e.place = arena + plan.blocks[static_cast<size_t>(block)].offset;
    for (const Transfer& transfer : schedule.transfers) {
      if (transfer.buffer == static_cast<BufferId>(b)) e.transfer = &transfer;
    }
    if (e.paged() && e.transfer != nullptr) {
      e.place += round_up(e.bytes, kAlignment) + round_up(e.transfer->scratch_bytes, kAlignment);
    }
    ensure(!e.paged() || pages != nullptr, buffer.name, " waits in a file that is not there");
    entries_.push_back(e);
  }
}

void WeightStore::copy(const Entry& entry, const Kernel& kernel, void* from, void* to) {
  void* scratch = staging_ + round_up(entry.bytes, kAlignment);
  kernel.bind({{&from, 1}, {&to, 1}, scratch})->run();
}

std::byte* WeightStore::read_plain(const Entry& e) {
  if (e.paged()) {
    pages_->start_read(e.buffer->page, e.place);
    pages_->wait(e.buffer->page);
  }
  if (e.transfer != nullptr) copy(e, *e.transfer->to_plain, e.place, staging_);
  return plain_place(e);
}

std::byte* WeightStore::plain_place(const Entry& e) {
  return e.transfer == nullptr ? e.place : staging_;
}

void WeightStore::take_plain(const Entry& e) {
  if (e.transfer != nullptr) copy(e, *e.transfer->from_plain, staging_, e.place);
  if (!e.paged()) return;
  pages_->start_write(e.buffer->page, e.place);
  pages_->wait(e.buffer->page);
}

void WeightStore::initialise(uint64_t seed) {
  for (const Entry& e : entries_) {
    const RandomStream random(seed, hash_of(e.buffer->name));
    auto* plain = reinterpret_cast<float*>(plain_place(e));
    for (int64_t i = 0; i < e.buffer->shape.elements(); ++i) {
      plain[i] = first_value(e.buffer->init, random, static_cast<uint64_t>(i));
    }
    take_plain(e);
  }
}

void WeightStore::save(const std::string& path, bool with_optimizer,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorEntry> layout;
  for (const Entry& e : entries_) {
    if (e.optimizer() && !with_optimizer) continue;
    layout.push_back(
        {e.buffer->name, "F32", {e.buffer->shape.begin(), e.buffer->shape.end()}, e.bytes});
  }
  SafetensorsWriter writer(path, std::move(layout), metadata);
  for (const Entry& e : entries_) {
    if (e.optimizer() && !with_optimizer) continue;
    writer.write(read_plain(e), e.bytes);
  }
  writer.finish();
}

std::map<std::string, std::string> WeightStore::load(const std::string& path, bool with_optimizer) {
  const SafetensorsReader reader(path);
  for (const Entry& e : entries_) {
    if (e.optimizer() && !with_optimizer) continue;
    check_entry(reader, path, e.buffer->name, e.buffer->shape);
    std::byte* plain = plain_place(e);
    reader.read(e.buffer->name, plain, e.bytes);
    const auto* values = reinterpret_cast<const float*>(plain);
    require(std::all_of(values, values + e.buffer->shape.elements(),
                        [](float v) { return std::isfinite(v); }),
            path, ": tensor ", e.buffer->name, " holds values that are not numbers");
    take_plain(e);
  }
  return reader.metadata();
}

}  // namespace thimble
