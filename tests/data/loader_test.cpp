#include "data/loader.h"

#include <chrono>
#include <map>
#include <thread>

#include "data/class_sorted.h"
#include "data/registry.h"
#include "fixtures.h"

namespace thimble::data_test {
namespace {

// One batch, copied: the labels and all pixels.
struct Copy {
  std::vector<int32_t> labels;
  std::vector<float> images;
  int64_t examples;
  bool operator==(const Copy&) const = default;
};

// A loader with its memory.
class Rig {
 public:
  Rig(const Dataset& data, const LoaderOptions& options)
      : options_(options),
        pixels_(static_cast<size_t>(options.batch * options.image.elements())),
        images_{std::vector<float>(pixels_), std::vector<float>(pixels_)},
        labels_{std::vector<int32_t>(static_cast<size_t>(options.batch)),
                std::vector<int32_t>(static_cast<size_t>(options.batch))},
        workspace_(BatchLoader::workspace_bytes(data, options)),
        loader_(data, options, workspace_.data(),
                {BatchSlot{images_[0].data(), labels_[0].data()},
                 BatchSlot{images_[1].data(), labels_[1].data()}}) {}

  BatchLoader& loader() { return loader_; }

  std::optional<Copy> next() {
    const auto batch = loader_.next();
    if (!batch) return std::nullopt;
    const auto slot = static_cast<size_t>(batch->slot);
    return Copy{labels_[slot], images_[slot], batch->examples};
  }

  std::vector<Copy> epoch(int64_t number, int64_t first_batch = 0) {
    loader_.begin_epoch(number, first_batch);
    std::vector<Copy> batches;
    while (const auto batch = next()) batches.push_back(*batch);
    return batches;
  }

 private:
  LoaderOptions options_;
  size_t pixels_;
  std::array<std::vector<float>, 2> images_;
  std::array<std::vector<int32_t>, 2> labels_;
  Scratch workspace_;
  BatchLoader loader_;
};

// Pixels of the pictures of write_idx() as they are: the first one is the example's number.
LoaderOptions idx_options(int64_t batch) {
  LoaderOptions options;
  options.image = Shape{1, 2, 3};
  options.batch = batch;
  options.mean = {0};
  options.std = {1 / 255.0f};
  return options;
}

std::vector<int> examples_of(const std::vector<Copy>& batches) {
  std::vector<int> numbers;
  for (const Copy& batch : batches) {
    for (size_t n = 0; n < static_cast<size_t>(batch.examples); ++n) {
      numbers.push_back(static_cast<int>(std::lround(batch.images[6 * n])));
    }
  }
  return numbers;
}

std::vector<int32_t> labels_of(const std::vector<Copy>& batches) {
  std::vector<int32_t> labels;
  for (const Copy& batch : batches) {
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
  }
  return labels;
}

std::vector<int> count_up(int count) {
  std::vector<int> numbers(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) numbers[static_cast<size_t>(i)] = i;
  return numbers;
}

class IdxLoader : public testing::Test {
 protected:
  IdxLoader() {
    write_idx(dir_.path(), 103);
    data_ = open_dataset(dir_.path(), "train");
  }
  TempDir dir_;
  std::unique_ptr<Dataset> data_;
};

TEST_F(IdxLoader, YieldsExamplesInOrder) {
  Rig rig(*data_, idx_options(10));
  EXPECT_EQ(rig.loader().batches_per_epoch(), 10);
  const auto batches = rig.epoch(0);
  EXPECT_EQ(batches.size(), 10u);
  EXPECT_EQ(examples_of(batches), count_up(100));
  EXPECT_EQ(batches[3].labels, (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(rig.loader().skipped(), 0);
}

TEST_F(IdxLoader, EvaluationFillsTheLastBatch) {
  LoaderOptions options = idx_options(10);
  options.drop_last = false;
  Rig rig(*data_, options);
  EXPECT_EQ(rig.loader().batches_per_epoch(), 11);
  const auto batches = rig.epoch(0);
  EXPECT_EQ(examples_of(batches), count_up(103));
  EXPECT_EQ(batches[10].examples, 3);
  EXPECT_EQ(batches[10].labels, (std::vector<int32_t>{0, 1, 2, -1, -1, -1, -1, -1, -1, -1}));
  for (size_t i = 3 * 6; i < 60; ++i) EXPECT_EQ(batches[10].images[i], 0);
}

TEST_F(IdxLoader, ShuffleVisitsEachExampleOnce) {
  LoaderOptions options = idx_options(10);
  options.drop_last = false;
  options.shuffle = true;
  Rig rig(*data_, options);
  std::vector<int> numbers = examples_of(rig.epoch(0));
  EXPECT_NE(numbers, count_up(103));
  std::sort(numbers.begin(), numbers.end());
  EXPECT_EQ(numbers, count_up(103));
}

TEST_F(IdxLoader, ShuffleDependsOnSeedAndEpochOnly) {
  LoaderOptions options = idx_options(10);
  options.shuffle = true;
  options.seed = 8;
  Rig rig(*data_, options);
  const auto first = rig.epoch(0);
  EXPECT_NE(rig.epoch(1), first);
  EXPECT_EQ(rig.epoch(0), first);
  Rig same(*data_, options);
  EXPECT_EQ(same.epoch(0), first);
  options.seed = 9;
  Rig other(*data_, options);
  EXPECT_NE(other.epoch(0), first);
}

TEST_F(IdxLoader, ExamplesDoNotDependOnTheBatchSize) {
  LoaderOptions options = idx_options(1);
  options.shuffle = true;
  options.augment_flip = true;
  options.augment_crop_pad = 1;
  Rig ones(*data_, options);
  options.batch = 103;
  Rig all(*data_, options);
  std::vector<float> joined;
  for (const Copy& batch : ones.epoch(2)) {
    joined.insert(joined.end(), batch.images.begin(), batch.images.end());
  }
  EXPECT_EQ(all.epoch(2)[0].images, joined);
}

TEST_F(IdxLoader, ResumeGivesTheSameBatches) {
  LoaderOptions options = idx_options(8);
  options.shuffle = true;
  options.augment_flip = true;
  options.augment_crop_pad = 1;
  Rig rig(*data_, options);
  const auto whole = rig.epoch(5);
  for (const int64_t first : {1, 2, 7, 11, 12}) {
    Rig resumed(*data_, options);
    EXPECT_EQ(resumed.epoch(5, first), (std::vector<Copy>(whole.begin() + first, whole.end())));
  }
}

TEST_F(IdxLoader, EpochMayBeLeftAtAnyTime) {
  Rig rig(*data_, idx_options(2));
  const auto whole = rig.epoch(0);
  for (int taken = 0; taken < 6; ++taken) {
    rig.loader().begin_epoch(0);
    for (int i = 0; i < taken; ++i) EXPECT_EQ(*rig.next(), whole[static_cast<size_t>(i)]);
  }
  EXPECT_EQ(rig.epoch(0), whole);
}

TEST_F(IdxLoader, MayBeDestroyedAtAnyTime) {
  for (int taken = 0; taken < 30; ++taken) {
    Rig rig(*data_, idx_options(2));
    rig.loader().begin_epoch(0);
    for (int i = 0; i < taken; ++i) EXPECT_TRUE(rig.next());
  }
}

TEST_F(IdxLoader, SlowReaderKeepsItsBatch) {
  Rig rig(*data_, idx_options(10));
  rig.loader().begin_epoch(0);
  std::vector<Copy> batches;
  for (int i = 0; i < 10; ++i) {
    const auto batch = rig.next();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    batches.push_back(*batch);
  }
  EXPECT_EQ(examples_of(batches), count_up(100));
  EXPECT_FALSE(rig.next());
}

TEST_F(IdxLoader, HasNoBatchBeforeTheFirstEpoch) {
  Rig rig(*data_, idx_options(10));
  EXPECT_FALSE(rig.next());
}

TEST_F(IdxLoader, DefaultNormalisationIsTheDataSets) {
  LoaderOptions options = idx_options(103);
  options.mean.clear();
  options.std.clear();
  Rig rig(*data_, options);
  EXPECT_FLOAT_EQ(rig.epoch(0)[0].images[6 * 51], (51 / 255.0f - .2860f) / .3530f);
}

TEST_F(IdxLoader, WorkspaceHoldsOnePictureAndOneRow) {
  // Taps: 32 bytes for each of 32 rows and 32 columns; one row of floats; one 2x3 picture.
  LoaderOptions options = idx_options(1000);
  options.image = Shape{3, 32, 32};
  EXPECT_EQ(BatchLoader::workspace_bytes(*data_, options), 64 * 32 + 3 * 32 * 4 + 64);
}

// Pictures of 2x3, cut into single rows of 1x3.
LoaderOptions row_options(int64_t batch) {
  LoaderOptions options = idx_options(batch);
  options.picture = options.image;
  options.image = Shape{1, 1, 3};
  return options;
}

TEST_F(IdxLoader, PatchesOfAPictureFollowEachOther) {
  LoaderOptions whole = idx_options(2), rows = row_options(4);
  whole.shuffle = rows.shuffle = true;
  whole.augment_flip = rows.augment_flip = true;
  Rig pictures(*data_, whole), patches(*data_, rows);
  const auto expected = pictures.epoch(3), got = patches.epoch(3);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].images, expected[i].images);
    const std::vector<int32_t>& l = expected[i].labels;
    EXPECT_EQ(got[i].labels, (std::vector<int32_t>{l[0], l[0], l[1], l[1]}));
  }
}

TEST_F(IdxLoader, APartOfAPictureIsABatch) {
  LoaderOptions options = row_options(1);
  options.group = 4;  // of two pictures
  Rig rig(*data_, options), pairs(*data_, row_options(2));
  EXPECT_EQ(rig.loader().batches_per_epoch(), 204);  // one of 103 is left over
  const auto ones = rig.epoch(0, 100), twos = pairs.epoch(0, 50);
  for (size_t i = 0; i < ones.size(); ++i) {
    const float* row = twos[i / 2].images.data() + 3 * (i % 2);
    EXPECT_EQ(ones[i].images, (std::vector<float>(row, row + 3)));
  }
}

TEST_F(IdxLoader, PartsOfAPictureMayComeTwice) {
  LoaderOptions options = row_options(1);
  Rig once(*data_, options);
  options.twice = 2;
  Rig twice(*data_, options);
  EXPECT_EQ(twice.loader().batches_per_epoch(), once.loader().batches_per_epoch());
  const auto plain = once.epoch(0, 4), doubled = twice.epoch(0, 4);
  ASSERT_EQ(doubled.size(), 2 * plain.size());
  for (size_t i = 0; i < doubled.size(); ++i) EXPECT_EQ(doubled[i], plain[i / 4 * 2 + i % 2]);
}

TEST_F(IdxLoader, ClassesComeEquallyOftenOnRequest) {
  Bytes labels(103, 0);
  for (const size_t i : {3, 50, 77}) labels[i] = 1;
  labels[9] = 2;
  write_file(dir_ / "train-labels-idx1-ubyte", idx_labels(labels));
  const auto whole = open_dataset(dir_.path(), "train");
  const ValidationSplit split = split_by_class(*whole, 0, 1);
  LoaderOptions options = idx_options(10);
  options.shuffle = true;
  options.class_ends = split.train->class_ends();
  Rig rig(*split.train, options);
  const auto epoch = rig.epoch(2);
  std::map<int32_t, int> count;
  for (const int32_t label : labels_of(epoch)) ++count[label];
  EXPECT_EQ(count, (std::map<int32_t, int>{{0, 34}, {1, 33}, {2, 33}}));
  const std::vector<int> numbers = examples_of(epoch);
  const std::vector<int32_t> given = labels_of(epoch);
  for (size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(labels[static_cast<size_t>(numbers[i])], given[i]);
  }
  // Another loader goes on in the middle.
  Rig again(*split.train, options);
  const auto rest = again.epoch(2, 6);
  EXPECT_EQ(rest, std::vector<Copy>(epoch.begin() + 6, epoch.end()));
}

TEST_F(IdxLoader, BadOptionsAreErrors) {
  const auto error = [&](auto change) {
    LoaderOptions options = idx_options(10);
    change(options);
    return error_of([&] { Rig rig(*data_, options); });
  };
  EXPECT_CONTAINS(error([](LoaderOptions& o) { o.batch = 104; }),
                  "103 examples are fewer than one batch of 104");
  EXPECT_CONTAINS(error([](LoaderOptions& o) {
                    o.mean = {1, 2};
                  }),
                  "mean has 2 numbers; needed 1 or 3");
  EXPECT_CONTAINS(error([](LoaderOptions& o) { o.std = {0}; }), "std is 0; needed more than 0");
  EXPECT_CONTAINS(error([](LoaderOptions& o) {
                    o.image = Shape{2, 2, 3};
                  }),
                  "image shape (2, 2, 3); needed (C, H, W) with 1 or 3 channels");
}

// Twenty files of which those in `bad` are cut; the first pixel is ten times the number.
std::unique_ptr<Dataset> folder_with_bad(const TempDir& dir, const std::vector<int>& bad) {
  for (int i = 0; i < 20; ++i) {
    const std::string path = dir / "train/c/" + static_cast<char>('a' + i) + ".png";
    write_png(path, 2, 3, [i](int, int, int) { return 10 * i; });
    if (std::count(bad.begin(), bad.end(), i) > 0) cut_file(path, 50);
  }
  return open_dataset(dir.path(), "train");
}

std::vector<int> tens(const std::vector<int>& numbers) {
  std::vector<int> result;
  for (const int n : numbers) result.push_back(10 * n);
  return result;
}

TEST(BadFiles, AreAnErrorWhenTheirBatchIsDue) {
  const TempDir dir;
  const auto data = folder_with_bad(dir, {9});
  Rig rig(*data, idx_options(4));
  for (int repeat = 0; repeat < 2; ++repeat) {
    rig.loader().begin_epoch(0);
    EXPECT_TRUE(rig.next());
    EXPECT_TRUE(rig.next());
    const std::string wanted = dir / "train/c/j.png: broken PNG: the file ends early";
    EXPECT_EQ(error_of([&] { rig.next(); }), wanted);
    EXPECT_EQ(error_of([&] { rig.next(); }), wanted);
  }
}

TEST(BadFiles, AreReplacedByTheNextGoodInTraining) {
  const TempDir dir;
  const auto data = folder_with_bad(dir, {4, 5, 19});
  LoaderOptions options = idx_options(4);
  options.skip_bad = true;
  Rig rig(*data, options);
  EXPECT_EQ(examples_of(rig.epoch(0)),
            tens({0, 1, 2, 3, 6, 6, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 0}));
  EXPECT_EQ(rig.loader().skipped(), 3);
  rig.epoch(1);
  EXPECT_EQ(rig.loader().skipped(), 6);
}

TEST(BadFiles, AreCountedWhenTheirBatchIsHandedOut) {
  const TempDir dir;
  const auto data = folder_with_bad(dir, {4, 5});
  LoaderOptions options = idx_options(4);
  options.skip_bad = true;
  Rig rig(*data, options);
  rig.loader().begin_epoch(0);
  rig.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(rig.loader().skipped(), 0);
  rig.next();
  EXPECT_EQ(rig.loader().skipped(), 2);
}

TEST(BadFiles, HaveNoLabelInEvaluation) {
  const TempDir dir;
  const auto data = folder_with_bad(dir, {4, 19});
  LoaderOptions options = idx_options(8);
  options.skip_bad = true;
  options.drop_last = false;
  Rig rig(*data, options);
  const auto batches = rig.epoch(0);
  EXPECT_EQ(labels_of(batches), (std::vector<int32_t>{0, 0, 0, 0, -1, 0, 0, 0,  0,  0,  0,  0,
                                                      0, 0, 0, 0, 0,  0, 0, -1, -1, -1, -1, -1}));
  for (size_t i = 24; i < 30; ++i) EXPECT_EQ(batches[0].images[i], 0);
  EXPECT_EQ(batches[2].examples, 4);
  EXPECT_EQ(rig.loader().skipped(), 2);
}

TEST(BadFiles, CostAllPatchesOfTheirPictureInEvaluation) {
  const TempDir dir;
  const auto data = folder_with_bad(dir, {1});
  LoaderOptions options = row_options(6);
  options.skip_bad = true;
  options.drop_last = false;
  Rig rig(*data, options);
  const auto batches = rig.epoch(0);
  EXPECT_EQ(batches[0].labels, (std::vector<int32_t>{0, 0, -1, -1, 0, 0}));
  EXPECT_EQ(rig.loader().skipped(), 1);
}

TEST(BadFiles, AloneAreAnErrorInTrainingEvenWhenSkipped) {
  const TempDir dir;
  const auto data = folder_with_bad(dir, count_up(20));
  LoaderOptions options = idx_options(4);
  options.skip_bad = true;
  Rig rig(*data, options);
  rig.loader().begin_epoch(0);
  EXPECT_CONTAINS(error_of([&] { rig.next(); }), "broken PNG: the file ends early");
}

TEST(MixedLoader, MixesKindsAndSizesOfPictures) {
  const TempDir dir;
  write_png(dir / "train/a/1.png", 60, 80, [](int, int, int c) { return 60 + 60 * c; });
  write_jpeg(dir / "train/a/2.jpg", 300, 200, [](int, int, int) { return 120; }, {.channels = 1});
  write_jpeg(dir / "train/b/3.jpg", 16, 16, [](int, int, int) { return 120; });
  LoaderOptions options;
  options.image = Shape{3, 16, 16};
  options.batch = 3;
  options.decode_bytes = 128 * kKiB;
  options.mean = {0};
  options.std = {1 / 255.0f};
  const auto data = open_dataset(dir.path(), "train");
  Rig rig(*data, options);
  const Copy batch = rig.epoch(0)[0];
  EXPECT_EQ(batch.labels, (std::vector<int32_t>{0, 0, 1}));
  for (size_t i = 0; i < 256; ++i) {
    ASSERT_NEAR(batch.images[i], 60, 1e-3);
    ASSERT_NEAR(batch.images[512 + i], 180, 1e-3);
  }
  for (size_t i = 3 * 256; i < 9 * 256; ++i) ASSERT_NEAR(batch.images[i], 120, 1.5);
}

}  // namespace
}  // namespace thimble::data_test
