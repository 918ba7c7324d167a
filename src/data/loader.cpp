#include "data/loader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace thimble {
namespace {

// For the errors alone.
class Nowhere : public DecodeTarget {
 public:
  int64_t shrink(int64_t, int64_t) const override { return 8; }
  void begin(const ImageSize&) override {}
  void row(const uint8_t*) override {}
};

constexpr int64_t kAlignment = 64;

// One number for each of the model's channels, from 1 or 3 numbers.
std::array<float, 3> per_channel(const std::vector<float>& given, const std::vector<float>& natural,
                                 int64_t channels, const char* name) {
  const std::vector<float>& v = given.empty() ? natural : given;
  require(v.size() == 1 || v.size() == 3, name, " has ", v.size(), " numbers; needed 1 or 3");
  for (const float x : v) require(std::isfinite(x), name, " has a number that is not finite");
  if (v.size() == 1) return {v[0], v[0], v[0]};
  if (channels == 3) return {v[0], v[1], v[2]};
  const float average = (v[0] + v[1] + v[2]) / 3;
  return {average, average, average};
}

PatchGrid grid_of(const LoaderOptions& options) {
  const bool cut = options.picture.rank() > 0;
  return {cut ? options.picture : options.image, options.image, options.patch_step};
}

ImageRecipe recipe_for(const Dataset& dataset, const LoaderOptions& options) {
  const Shape& image = options.image;
  require(image.rank() == 3 && (image[0] == 1 || image[0] == 3) && image[1] > 0 && image[2] > 0,
          "image shape ", image, "; needed (C, H, W) with 1 or 3 channels");
  require(options.augment_crop_pad >= 0, "augment_crop_pad is ", options.augment_crop_pad,
          "; needed at least 0");
  ImageRecipe recipe;
  recipe.image = grid_of(options).picture;
  recipe.mean = per_channel(options.mean, dataset.info().mean, image[0], "mean");
  recipe.std = per_channel(options.std, dataset.info().std, image[0], "std");
  for (const float s : recipe.std) require(s > 0, "std is ", s, "; needed more than 0");
  recipe.bgr = options.bgr;
  recipe.flip = options.augment_flip;
  recipe.crop_pad = options.augment_crop_pad;
  recipe.seed = options.seed;
  return recipe;
}

int64_t fitter_bytes(const LoaderOptions& options) {
  return round_up(ImageFitter::scratch_bytes(grid_of(options).picture), kAlignment);
}

int64_t decoder_bytes(const Dataset& dataset, const LoaderOptions& options) {
  return round_up(dataset.scratch_bytes(options.decode_bytes), kAlignment);
}

int64_t picture_bytes(const LoaderOptions& options) {
  return options.picture.rank() > 0 ? options.picture.elements() * int64_t{sizeof(float)} : 0;
}

std::span<std::byte> piece(void* workspace, int64_t offset, int64_t bytes) {
  return {static_cast<std::byte*>(workspace) + offset, static_cast<size_t>(bytes)};
}

}  // namespace

int64_t patches_of_picture(const LoaderOptions& options) {
  const PatchGrid grid = grid_of(options);
  grid.check();
  return grid.count();
}

int64_t count_batches(const Dataset& dataset, const LoaderOptions& options) {
  require(options.batch > 0, "batch is ", options.batch, "; needed at least 1");
  const int64_t patches = patches_of_picture(options);
  const int64_t size = dataset.size() * patches;
  if (!options.drop_last) return (size + options.batch - 1) / options.batch;
  const int64_t step = options.batch * options.group;
  require(size >= step, dataset.description(), ": ", dataset.size(),
          " examples are fewer than one batch of ", step / patches);
  return size / step * options.group;
}

int64_t BatchLoader::workspace_bytes(const Dataset& dataset, const LoaderOptions& options) {
  return fitter_bytes(options) + decoder_bytes(dataset, options) + picture_bytes(options);
}

BatchLoader::BatchLoader(const Dataset& dataset, LoaderOptions options, void* workspace,
                         std::array<BatchSlot, 2> slots)
    : dataset_(dataset),
      options_(std::move(options)),
      grid_(grid_of(options_)),
      patches_(patches_of_picture(options_)),
      batches_(count_batches(dataset, options_)),
      fitter_(recipe_for(dataset, options_), piece(workspace, 0, fitter_bytes(options_))),
      scratch_(
          piece(workspace, fitter_bytes(options_), dataset.scratch_bytes(options_.decode_bytes))),
      picture_(reinterpret_cast<float*>(static_cast<std::byte*>(workspace) +
                                        fitter_bytes(options_) + decoder_bytes(dataset, options_))),
      order_(dataset.size(), options_.seed, 0) {
  slots_[0].memory = slots[0];
  slots_[1].memory = slots[1];
  next_handing_ = handings();  // no epoch yet
}

BatchLoader::~BatchLoader() { stop(); }

void BatchLoader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BatchLoader::begin_epoch(int64_t epoch, int64_t first_batch) {
  ensure(first_batch >= 0 && first_batch <= batches_, "batch ", first_batch, " of ", batches_);
  stop();
  stop_ = false;
  error_ = nullptr;
  held_ = -1;
  for (Slot& slot : slots_) slot.ready = false;
  epoch_ = epoch;
  first_handing_ = first_batch * (options_.twice > 0 ? 2 : 1);
  next_handing_ = first_handing_;
  place_in_hand_ = -1;
  order_ = Permutation(dataset_.size(), options_.seed, static_cast<uint64_t>(epoch));
  if (first_batch < batches_) thread_.start(thread_main, this);
}

std::optional<BatchLoader::Batch> BatchLoader::next() {
  std::unique_lock lock(mutex_);
  if (held_ >= 0) {
    slots_[static_cast<size_t>(std::exchange(held_, -1))].ready = false;
    changed_.notify_all();
  }
  if (next_handing_ == handings()) return std::nullopt;
  const int index = static_cast<int>(next_handing_ % 2);
  const Slot& slot = slots_[static_cast<size_t>(index)];
  changed_.wait(lock, [&] { return slot.ready || error_ != nullptr; });
  if (!slot.ready) {
    lock.unlock();
    thread_.join();  // it ended with the error
    std::rethrow_exception(error_);
  }
  ++next_handing_;
  held_ = index;
  skipped_ += slot.skipped;
  return Batch{index, slot.examples};
}

void* BatchLoader::thread_main(void* self) {
  auto& loader = *static_cast<BatchLoader*>(self);
  try {
    loader.decode_epoch();
  } catch (...) {
    const std::lock_guard lock(loader.mutex_);
    loader.error_ = std::current_exception();
    loader.changed_.notify_all();
  }
  return nullptr;
}

void BatchLoader::decode_epoch() {
  for (int64_t handing = first_handing_; handing < handings(); ++handing) {
    Slot& slot = slots_[static_cast<size_t>(handing % 2)];
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !slot.ready || stop_; });
    }
    fill(slot, batch_of(handing));
    if (stop_) return;
    const std::lock_guard lock(mutex_);
    slot.ready = true;
    changed_.notify_all();
  }
}

int64_t BatchLoader::batch_of(int64_t handing) const {
  const int64_t parts = options_.twice;
  return parts > 0 ? handing / (2 * parts) * parts + handing % parts : handing;
}

void BatchLoader::fill(Slot& slot, int64_t batch) {
  const int64_t pixels =
      options_.features != nullptr ? options_.features->values() : options_.image.elements();
  const int64_t first = batch * options_.batch;
  slot.examples = std::min(options_.batch, dataset_.size() * patches_ - first);
  slot.skipped = 0;
  for (int64_t n = 0; n < options_.batch && !stop_; ++n) {
    float* image = slot.memory.images + n * pixels;
    int32_t* label = slot.memory.labels + n;
    bool loaded = false;
    if (n < slot.examples && options_.picture.rank() == 0) {
      loaded = fill_one(slot, first + n, image, label);
    } else if (n < slot.examples) {
      const int64_t place = (first + n) / patches_;
      if (place != place_in_hand_) good_in_hand_ = fill_one(slot, place, picture_, &label_in_hand_);
      place_in_hand_ = place;
      loaded = good_in_hand_;
      if (loaded) grid_.cut(picture_, (first + n) % patches_, image);
      *label = label_in_hand_;
    }
    if (!loaded) {
      std::fill_n(image, pixels, 0.0f);
      *label = -1;
    }
  }
}

DrawnExample BatchLoader::drawn(int64_t place) const {
  if (!options_.class_ends.empty()) {
    return draw_by_class(options_.class_ends, options_.seed, epoch_, place);
  }
  return {0, dataset_.size(), options_.shuffle ? order_.permuted(place) : place};
}

// The picture at `place` of the epoch; false when it is broken and nothing may stand for it.
bool BatchLoader::fill_one(Slot& slot, int64_t place, float* image, int32_t* label) {
  const DrawnExample due = drawn(place);
  // Only training takes another example for a broken one: an evaluation must not count it.
  const int64_t tries = options_.drop_last ? due.count : 1;
  bool loaded = false;
  for (int64_t t = 0; t < tries && !loaded && !stop_; ++t) {
    const bool last_try = options_.drop_last && t + 1 == tries;
    const int64_t example = due.first + (due.at + t) % due.count;
    loaded = load(example, image, label, options_.skip_bad && !last_try);
    if (t == 0 && !loaded) ++slot.skipped;
  }
  return loaded;
}

// False when the example is broken; throws then unless it may be skipped.
bool BatchLoader::load(int64_t example, float* image, int32_t* label, bool may_skip) {
  if (options_.features != nullptr) return load_features(example, image, label, may_skip);
  fitter_.aim(image, epoch_, example);
  try {
    *label = dataset_.decode(example, scratch_, fitter_);
    return true;
  } catch (const UserError&) {
    if (!may_skip) throw;
    return false;
  }
}

bool BatchLoader::load_features(int64_t example, float* values, int32_t* label, bool may_skip) {
  *label = dataset_.label(example);
  if (options_.features->read(example, values)) return true;
  if (may_skip) return false;
  Nowhere nowhere;
  dataset_.decode(example, scratch_, nowhere);  // says which file, and what is wrong with it
  throw UserError(str_cat(dataset_.description(), ": example ", example,
                          " is broken in the file of features, its picture is not; hint: remove "
                          "features.bin, and it is made anew"));
}

void warm_up_decoding(const Dataset& dataset, LoaderOptions options) {
  if (options.skip_bad) {  // the first broken file reads the tables by which exceptions unwind
    try {
      throw UserError("a broken file");
    } catch (const UserError&) {
    }
  }
  options.batch = 1;
  options.twice = 0;
  options.drop_last = false;
  options.skip_bad = true;  // a broken example is reported when its batch is due
  std::vector<float> image(static_cast<size_t>(options.image.elements()));
  int32_t label = 0;
  const auto bytes = static_cast<size_t>(BatchLoader::workspace_bytes(dataset, options));
  std::vector<std::byte> workspace(bytes + 64);
  auto* aligned = reinterpret_cast<std::byte*>(
      round_up(static_cast<int64_t>(reinterpret_cast<uintptr_t>(workspace.data())), 64));
  BatchLoader loader(dataset, options, aligned,
                     {BatchSlot{image.data(), &label}, BatchSlot{image.data(), &label}});
  loader.begin_epoch(0, loader.batches_per_epoch() - 1);
  loader.next();
}

}  // namespace thimble
