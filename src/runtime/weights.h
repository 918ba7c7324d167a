#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "base/page_file.h"
#include "memory/plan.h"
#include "runtime/safetensors.h"
#include "schedule/schedule.h"
#include "thimble/thimble.h"

namespace thimble {

// The weights, running statistics and optimizer state of a program, in and out of files, where they
// are plain and carry their names. Those with another layout pass through free bytes of the arena,
// one at a time; nothing is allocated per tensor. Sparse weights are dense in files of models, and
// values and index in those of checkpoints.
class WeightStore {
 public:
  // Bytes of the arena above the persistent ones are overwritten: no step may be under way. `pages`
  // has what waits there; null when nothing does.
  WeightStore(const Schedule& schedule, const MemoryPlan& plan, std::byte* arena,
              int64_t arena_bytes, PageFile* pages);

  // First values as the model says, from (seed, name of the tensor): the same for every backend.
  void initialise(uint64_t seed);
  // Written aside and renamed. `to_go_on`: with all that training goes on from, or as a model.
  void save(const std::string& path, bool to_go_on,
            const std::map<std::string, std::string>& metadata);
  // Returns the file's metadata. `keep` are not asked for in a file of a model: they stay as they
  // are. Throws UserError that names the first tensor that is missing or has another shape.
  std::map<std::string, std::string> load(const std::string& path, bool to_go_on,
                                          const std::vector<std::string>& keep = {});

  // From now on `load` leaves what stands in these first bytes of the arena as it is: no step
  // writes there, and nobody may (Arena::map_constant).
  void keep_constant(int64_t bytes) { changeable_ = arena_ + bytes; }

  // A hash of the values of these tensors.
  uint64_t hash(const std::vector<std::string>& names);

  // Of sparse weights, where it is noted which of their positions were ever active.
  std::vector<Exploration> exploration() const;

 private:
  struct Entry {
    const Buffer* buffer = nullptr;
    int64_t bytes = 0;                   // plain
    std::byte* place = nullptr;          // of a page: free bytes that it passes through
    const Transfer* transfer = nullptr;  // null: the tensor is plain there
    bool sparse() const { return buffer->dense.rank() > 0; }
    std::byte* index = nullptr;     // of a sparse one; it has an entry of its own, as has
    std::byte* explored = nullptr;  // what notes its active positions, null where nothing does
    bool is_index = false;
    bool is_explored = false;
    bool paged() const { return buffer->page != kNoPage; }
    bool optimizer() const { return buffer->category == Category::optimizer; }
  };

  bool in_model(const Entry& entry) const {
    return !entry.optimizer() && !entry.is_index && !entry.is_explored;
  }
  void initialise_sparse(const Entry& entry, uint64_t seed);
  void load_dense(const Entry& entry, const SafetensorsReader& reader, const std::string& path);
  void load_plain(const Entry& entry, const SafetensorsReader& reader, const std::string& path);
  void copy(const Entry& entry, const Kernel& kernel, void* from, void* to);
  // The plain values, wherever they had to be brought.
  std::byte* read_plain(const Entry& entry);
  // Where to put plain values, then: they are the tensor's.
  std::byte* plain_place(const Entry& entry);
  void take_plain(const Entry& entry);

  std::vector<Entry> entries_;
  std::byte* arena_ = nullptr;
  std::byte* changeable_ = nullptr;  // places below are constant
  std::byte* staging_ = nullptr;
  PageFile* pages_ = nullptr;
};

// Of these tensors, those that a safetensors file lacks.
std::vector<std::string> lacking(const std::string& path, std::vector<std::string> names);

}  // namespace thimble
