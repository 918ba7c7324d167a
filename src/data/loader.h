#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/shape.h"
#include "base/small_thread.h"
#include "data/class_draw.h"
#include "data/dataset.h"
#include "data/feature_file.h"
#include "data/patch_grid.h"
#include "data/transform.h"

namespace thimble {

struct LoaderOptions {
  Shape image;  // (C, H, W) that the model wants; C is 1 or 3
  // Of rank 3, (C, H, W): pictures come in this size, and the examples are their patches of size
  // `image`, those of a picture one after the other. Rank 0: the examples are the pictures.
  Shape picture = {};
  int64_t patch_step = 0;  // as PatchGrid::step
  // This many batches are handed out, then the same once more, then the next; 0: each once. They
  // are the parts of one picture. Counts and numbers of batches do not know of it.
  int64_t twice = 0;
  int64_t batch = 1;     // examples
  int64_t group = 1;     // training: batches come in whole groups, the microbatches of a step
  uint64_t seed = 0;     // of the shuffle and the augmentation
  bool shuffle = false;  // another order in each epoch
  // Training: classes come equally often (class_draw.h). The data set's ClassSorted::class_ends(),
  // or empty: examples come as often as each other.
  std::span<const int64_t> class_ends = {};
  // Where the examples' numbers come from in place of their pictures, which are not decoded; null:
  // from the pictures. Of training without augmentation; must outlive the loader.
  const FeatureFile* features = nullptr;
  bool augment_flip = false;
  int64_t augment_crop_pad = 0;  // pixels
  std::vector<float> mean;       // pixels in [0, 1]; 1 or 3 numbers; empty: the data set's
  std::vector<float> std;        // likewise
  bool bgr = false;              // three channels: blue, green, red, as mean and std
  bool skip_bad = false;         // go on when a file is broken
  bool drop_last = true;         // training: no partial batch; otherwise evaluation
  int64_t decode_bytes = kMiB;   // memory for decoding one picture; small ones need 128 KiB
};

// Where a batch goes.
struct BatchSlot {
  float* images = nullptr;    // (N, C, H, W); of features (N, values)
  int32_t* labels = nullptr;  // (N); -1 where there is no example
};

// Examples that one picture gives.
int64_t patches_of_picture(const LoaderOptions& options);

// Batches in a pass over the data. UserError when there is none.
int64_t count_batches(const Dataset& dataset, const LoaderOptions& options);

// Yields batches while a second thread decodes the next one. What a batch holds depends on the
// options, the epoch and the batch's number only. Nothing that grows is allocated after
// construction: `workspace` and `slots` are all the memory for pictures.
//
// Training (drop_last): the last partial batch is left out; with skip_bad a broken example is
// replaced by the next good one in the data set. Evaluation: the last batch is filled up with
// label -1 and zero images; with skip_bad a broken example becomes one of those. Without skip_bad
// a broken example is an error. Of patches, what is said of examples holds for whole pictures: one
// is decoded once, held in the workspace, and cut.
class BatchLoader {
 public:
  // Bytes of workspace. Not in it: Dataset::bytes_held(), the decode thread's stack
  // (SmallThread::kStackBytes) and 2 KiB that libjpeg takes from the heap.
  static int64_t workspace_bytes(const Dataset& dataset, const LoaderOptions& options);

  // `dataset`, `workspace` (aligned to 64) and the slots must outlive the loader. Throws UserError
  // when the options do not fit the data: no whole batch, normalisation of a wrong length.
  BatchLoader(const Dataset& dataset, LoaderOptions options, void* workspace,
              std::array<BatchSlot, 2> slots);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  int64_t batches_per_epoch() const { return batches_; }

  // Starts decoding at batch `first_batch` in [0, batches_per_epoch()], so that an interrupted
  // epoch goes on with the batches that it would have had. Ends an epoch that is under way.
  void begin_epoch(int64_t epoch, int64_t first_batch = 0);

  struct Batch {
    int slot = 0;          // valid until the next call of next() or begin_epoch()
    int64_t examples = 0;  // rows [0, examples) come from the data set
  };

  // Waits for the next batch; nullopt at the end of the epoch. Throws UserError for a broken
  // example, when its batch is due.
  std::optional<Batch> next();

  // Broken pictures in the batches handed out so far, over all epochs.
  int64_t skipped() const { return skipped_; }

 private:
  struct Slot {
    BatchSlot memory;
    bool ready = false;  // decoded, and not yet handed back
    int64_t examples = 0;
    int64_t skipped = 0;
  };

  static void* thread_main(void* self);
  void decode_epoch();
  void fill(Slot& slot, int64_t batch);
  DrawnExample drawn(int64_t place) const;
  bool fill_one(Slot& slot, int64_t place, float* image, int32_t* label);
  bool load(int64_t example, float* image, int32_t* label, bool may_skip);
  bool load_features(int64_t example, float* values, int32_t* label, bool may_skip);
  int64_t handings() const { return batches_ * (options_.twice > 0 ? 2 : 1); }
  int64_t batch_of(int64_t handing) const;
  void stop();

  const Dataset& dataset_;
  const LoaderOptions options_;
  const PatchGrid grid_;
  const int64_t patches_;  // of a picture
  const int64_t batches_;
  ImageFitter fitter_;
  std::span<std::byte> scratch_;  // for the data set
  float* picture_;                // (C, H, W), of patches: the newest picture
  Permutation order_;             // of this epoch

  // The epoch under way; written only while no decode thread runs.
  int64_t epoch_ = 0;
  // Handings are batches, but for those that come twice.
  int64_t first_handing_ = 0;
  int64_t next_handing_ = 0;   // to hand out
  int64_t place_in_hand_ = 0;  // of the picture in `picture_`; -1: none
  bool good_in_hand_ = false;
  int32_t label_in_hand_ = -1;
  int held_ = -1;  // slot that the caller reads, or -1
  int64_t skipped_ = 0;

  std::atomic<bool> stop_ = false;
  std::mutex mutex_;  // guards slots' `ready` and `error_`
  std::condition_variable changed_;
  std::array<Slot, 2> slots_;
  std::exception_ptr error_;
  SmallThread thread_;
};

// Decodes one example into memory of its own and throws it away: afterwards the code and the
// libraries' state that decoding needs are resident.
void warm_up_decoding(const Dataset& dataset, LoaderOptions options);

}  // namespace thimble
