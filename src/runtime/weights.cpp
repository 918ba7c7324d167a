#include "runtime/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/random.h"
#include "runtime/sparse_values.h"

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
                 const Shape& wanted, const char* type = "F32") {
  for (const TensorEntry& entry : reader.entries()) {
    if (entry.name != name) continue;
    Shape shape;
    for (int64_t d : entry.shape) {
      if (shape.rank() < Shape::kMaxRank) shape.push_back(d);
    }
    require(
        shape == wanted || !(reader.has(name + kActive) || name.ends_with(kActive)), path,
        ": tensor ", name,
        " is sparse, with other positions than this model has; use the run's model.safetensors, "
        "which is dense");
    require(entry.dtype == type && shape == wanted, path, ": tensor ", name, " is ", entry.dtype,
            ' ', shape, ", the model needs ", type, ' ', wanted);
  }
}

void check_finite(const float* values, int64_t count, const std::string& path,
                  const std::string& name) {
  require(std::all_of(values, values + count, [](float v) { return std::isfinite(v); }), path,
          ": tensor ", name, " holds values that are not numbers");
}

}  // namespace

std::vector<std::string> lacking(const std::string& path, std::vector<std::string> names) {
  const SafetensorsReader reader(path);
  std::erase_if(names, [&](const std::string& name) { return reader.has(name); });
  return names;
}

WeightStore::WeightStore(const Schedule& schedule, const MemoryPlan& plan, std::byte* arena,
                         int64_t arena_bytes, PageFile* pages)
    : arena_(arena), changeable_(arena), staging_(arena + plan.persistent_bytes), pages_(pages) {
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
    if (e.sparse()) {
      const auto index = static_cast<size_t>(schedule.find(buffer.name + kActive));
      e.index = arena + plan.blocks[static_cast<size_t>(plan.block_of_buffer[index])].offset;
      if (const BufferId explored = schedule.find(buffer.name + kExplored); explored != kNoBuffer) {
        const int32_t at = plan.block_of_buffer[static_cast<size_t>(explored)];
        e.explored = arena + plan.blocks[static_cast<size_t>(at)].offset;
      }
    }
    e.is_index = buffer.name.ends_with(kActive);
    e.is_explored = buffer.name.ends_with(kExplored);
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
    if (e.is_index) continue;
    if (e.is_explored) {
      std::memset(e.place, 0, static_cast<size_t>(e.bytes));
      continue;
    }
    if (e.sparse()) {
      initialise_sparse(e, seed);
      continue;
    }
    const RandomStream random(seed, hash_of(e.buffer->name));
    auto* plain = reinterpret_cast<float*>(plain_place(e));
    for (int64_t i = 0; i < e.buffer->shape.elements(); ++i) {
      plain[i] = first_value(e.buffer->init, random, static_cast<uint64_t>(i));
    }
    take_plain(e);
  }
}

// The values that a dense weight would have there.
void WeightStore::initialise_sparse(const Entry& e, uint64_t seed) {
  const SparseValues sparse(*e.buffer, e.place, e.index);
  sparse.draw_positions(seed, hash_of(e.buffer->name + kActive), staging_);
  const RandomStream random(seed, hash_of(e.buffer->name));
  sparse.each([&](int64_t i, int64_t position) {
    sparse.values()[i] = first_value(e.buffer->init, random, static_cast<uint64_t>(position));
  });
}

void WeightStore::save(const std::string& path, bool to_go_on,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorEntry> layout;
  for (const Entry& e : entries_) {
    if (!to_go_on && !in_model(e)) continue;
    const bool dense = !to_go_on && e.sparse();
    const Shape& shape = dense ? e.buffer->dense : e.buffer->shape;
    layout.push_back({e.buffer->name,
                      e.buffer->type == ElementType::u8 ? "U8" : "F32",
                      {shape.begin(), shape.end()},
                      dense ? shape.elements() * 4 : e.bytes});
  }
  SafetensorsWriter writer(path, layout, metadata);
  size_t next = 0;
  for (const Entry& e : entries_) {
    if (!to_go_on && !in_model(e)) continue;
    const TensorEntry& entry = layout[next++];
    if (!to_go_on && e.sparse()) {
      const SparseValues sparse(*e.buffer, e.place, e.index);
      sparse.write_dense(reinterpret_cast<float*>(staging_),
                         [&] { writer.write(staging_, sparse.part_elements() * 4); });
    } else {
      writer.write(read_plain(e), entry.bytes);
    }
  }
  writer.finish();
}

std::map<std::string, std::string> WeightStore::load(const std::string& path, bool to_go_on,
                                                     const std::vector<std::string>& keep) {
  const SafetensorsReader reader(path);
  for (const Entry& e : entries_) {
    if (e.place < changeable_) continue;
    if (std::find(keep.begin(), keep.end(), e.buffer->name) != keep.end()) continue;
    if (!to_go_on && (e.optimizer() || e.is_explored)) continue;
    const bool dense = !to_go_on && !reader.has(e.buffer->name + (e.is_index ? "" : kActive));
    if (e.is_index && dense) continue;  // came with its values
    e.sparse() && dense ? load_dense(e, reader, path) : load_plain(e, reader, path);
  }
  for (const Entry& e : entries_) {
    require(!e.sparse() || SparseValues(*e.buffer, e.place, e.index).is_valid(), path, ": tensor ",
            e.buffer->name, kActive, " is no index of positions");
  }
  return reader.metadata();
}

void WeightStore::load_dense(const Entry& e, const SafetensorsReader& reader,
                             const std::string& path) {
  const Shape& shape = e.buffer->dense;
  check_entry(reader, path, e.buffer->name, shape);
  const SparseValues sparse(*e.buffer, e.place, e.index);
  auto* part = reinterpret_cast<float*>(staging_);
  const int64_t elements = sparse.part_elements();
  const auto read = [&](int64_t p) {
    reader.read_part(e.buffer->name, p * elements * 4, part, elements * 4);
    check_finite(part, elements, path, e.buffer->name);
  };
  sparse.take_largest(part, read, staging_ + round_up(elements * 4, kAlignment));
}

void WeightStore::load_plain(const Entry& e, const SafetensorsReader& reader,
                             const std::string& path) {
  const bool bytes = e.buffer->type == ElementType::u8;
  check_entry(reader, path, e.buffer->name, e.buffer->shape, bytes ? "U8" : "F32");
  std::byte* plain = plain_place(e);
  reader.read(e.buffer->name, plain, e.bytes);
  if (!bytes) {
    check_finite(reinterpret_cast<const float*>(plain), e.buffer->shape.elements(), path,
                 e.buffer->name);
  }
  take_plain(e);
}

uint64_t WeightStore::hash(const std::vector<std::string>& names) {
  Hash hash;
  for (const Entry& e : entries_) {
    if (std::find(names.begin(), names.end(), e.buffer->name) == names.end()) continue;
    hash.add(e.buffer->name.data(), e.buffer->name.size());
    hash.add(read_plain(e), static_cast<size_t>(e.bytes));
  }
  return hash.value();
}

std::vector<Exploration> WeightStore::exploration() const {
  std::vector<Exploration> layers;
  for (const Entry& e : entries_) {
    if (e.explored == nullptr) continue;
    layers.push_back({e.buffer->name, e.buffer->dense.elements(), e.buffer->shape.elements(),
                      SparseValues(*e.buffer, e.place, e.index).count_explored(e.explored)});
  }
  return layers;
}

}  // namespace thimble
