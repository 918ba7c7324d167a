#include "data/feature_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "data/loader.h"
#include "data/registry.h"
#include "fixtures.h"
#include "support/expect_error.h"

namespace thimble::data_test {
namespace {

constexpr int64_t kValues = 5;

class Features : public testing::Test {
 protected:
  // Of example i the numbers i, i + 0.5, ...
  void write(int64_t examples, const std::vector<int64_t>& broken = {}) {
    Bytes bytes;
    for (int64_t i = 0; i < examples; ++i) {
      std::vector<float> values;
      for (int64_t v = 0; v < kValues; ++v) {
        values.push_back(static_cast<float>(i) + 0.5f * static_cast<float>(v));
      }
      if (std::count(broken.begin(), broken.end(), i) > 0) FeatureFile::mark_broken(values);
      const auto* raw = reinterpret_cast<const uint8_t*>(values.data());
      bytes.insert(bytes.end(), raw, raw + kValues * sizeof(float));
    }
    write_file(path_, bytes);
  }

  const TempDir dir_;
  const std::string path_ = dir_ / "features.bin";
};

TEST_F(Features, AreReadOneExampleAtATime) {
  write(7);
  const FeatureFile file(path_, kValues);
  std::vector<float> one(kValues);
  EXPECT_TRUE(file.read(6, one.data()));
  EXPECT_EQ(one, (std::vector<float>{6, 6.5, 7, 7.5, 8}));
  EXPECT_TRUE(file.read(0, one.data()));
  EXPECT_EQ(one, (std::vector<float>{0, 0.5, 1, 1.5, 2}));
}

TEST_F(Features, AFileOfAnotherSizeIsNotWhole) {
  EXPECT_FALSE(FeatureFile::is_whole(path_, kValues, 7));
  write(7);
  EXPECT_TRUE(FeatureFile::is_whole(path_, kValues, 7));
  EXPECT_FALSE(FeatureFile::is_whole(path_, kValues, 8));
  std::filesystem::resize_file(path_, 7 * kValues * 4 - 1);
  EXPECT_FALSE(FeatureFile::is_whole(path_, kValues, 7));
  const FeatureFile file(path_, kValues);
  std::vector<float> one(kValues);
  EXPECT_TRUE(file.read(5, one.data()));
  expect_user_error([&] { file.read(6, one.data()); }, "ends before the features of example 6");
}

TEST_F(Features, ABrokenPictureIsNoNumberOfANetwork) {
  write(3, {1});
  const FeatureFile file(path_, kValues);
  std::vector<float> one(kValues);
  EXPECT_TRUE(file.read(0, one.data()));
  EXPECT_FALSE(file.read(1, one.data()));
  // What diverged is no broken picture.
  std::vector<float> nan(kValues, std::numeric_limits<float>::quiet_NaN());
  write_file(path_, Bytes(reinterpret_cast<uint8_t*>(nan.data()),
                          reinterpret_cast<uint8_t*>(nan.data() + kValues)));
  EXPECT_TRUE(FeatureFile(path_, kValues).read(0, one.data()));
}

TEST_F(Features, AFileThatIsNotThereIsNamed) {
  expect_user_error([&] { FeatureFile(path_, kValues); }, "features.bin: cannot open");
}

// A loader over the 103 pictures of write_idx, with the features in place of their pixels.
class FeatureLoader : public Features {
 protected:
  FeatureLoader() {
    write_idx(dir_.path(), 103);
    data_ = open_dataset(dir_.path(), "train");
    options_.image = Shape{1, 2, 3};
    options_.batch = 10;
    options_.seed = 4;
    options_.shuffle = true;
    options_.mean = {0};
    options_.std = {1 / 255.0f};
  }

  struct Epoch {
    std::vector<int> examples;  // from the first number of each
    std::vector<int32_t> labels;
    int64_t skipped = 0;
  };
  // With the pixels of write_idx or with features: both begin with the example's number.
  Epoch epoch(const FeatureFile* features) {
    LoaderOptions options = options_;
    options.features = features;
    const auto values = static_cast<size_t>(features != nullptr ? features->values() : 6);
    std::array<std::vector<float>, 2> images;
    std::array<std::vector<int32_t>, 2> labels;
    for (auto& slot : images) slot.resize(10 * values);
    for (auto& slot : labels) slot.resize(10);
    Scratch workspace(BatchLoader::workspace_bytes(*data_, options));
    BatchLoader loader(*data_, options, workspace.data(),
                       {BatchSlot{images[0].data(), labels[0].data()},
                        BatchSlot{images[1].data(), labels[1].data()}});
    loader.begin_epoch(2);
    Epoch found;
    while (const auto batch = loader.next()) {
      const auto slot = static_cast<size_t>(batch->slot);
      for (size_t n = 0; n < 10; ++n) {
        found.examples.push_back(static_cast<int>(std::lround(images[slot][n * values])));
        found.labels.push_back(labels[slot][n]);
      }
    }
    found.skipped = loader.skipped();
    return found;
  }

  std::unique_ptr<Dataset> data_;
  LoaderOptions options_;
};

TEST_F(FeatureLoader, GivesTheSameExamplesInTheSameOrder) {
  write(103);
  const FeatureFile file(path_, kValues);
  const Epoch pictures = epoch(nullptr), features = epoch(&file);
  EXPECT_EQ(features.examples.size(), 100u) << "no partial batch";
  EXPECT_EQ(features.examples, pictures.examples);
  EXPECT_EQ(features.labels, pictures.labels);
}

TEST_F(FeatureLoader, AnotherExampleStandsForABrokenOne) {
  const Epoch all = epoch(nullptr);
  const int64_t broken = all.examples[23];
  write(103, {broken});
  const FeatureFile file(path_, kValues);
  expect_user_error([&] { epoch(&file); }, str_cat("example ", broken, " is broken"));
  options_.skip_bad = true;
  Epoch skipping = epoch(&file);
  EXPECT_EQ(skipping.skipped, 1);
  EXPECT_EQ(skipping.examples[23], (broken + 1) % 103);
  skipping.examples[23] = all.examples[23];
  EXPECT_EQ(skipping.examples, all.examples);
}

}  // namespace
}  // namespace thimble::data_test
