#include "data/registry.h"

#include "fixtures.h"

namespace thimble::data_test {
namespace {

TEST(DataRegistry, HoldsEverySourceOnce) {
  std::vector<std::string> names;
  for (const DataSource* source : data_sources()) names.push_back(source->name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"cifar10", "fashion-mnist", "folder", "idx"}));
}

TEST(DataRegistry, NameOfASourceWithoutPathAsksForAPath) {
  EXPECT_CONTAINS(error_of([] { open_dataset("cifar10", "train"); }),
                  "data set 'cifar10' needs a path: give the folder that holds data_batch_1.bin");
}

TEST(DataRegistry, UnknownNameListsTheLayouts) {
  const std::string text = error_of([] { open_dataset("/no/such/place", "train"); });
  EXPECT_CONTAINS(text, "no data set or folder '/no/such/place'");
  EXPECT_CONTAINS(text, "test_batch.bin");
}

TEST(DataRegistry, FolderInNoLayoutIsAnError) {
  const TempDir dir;
  EXPECT_CONTAINS(error_of([&] { open_dataset(dir.path(), "train"); }),
                  "not a data set in a known layout");
}

TEST(DataRegistry, SplitsAreTrainAndTest) {
  EXPECT_EQ(error_of([] { open_dataset("fashion-mnist", "val"); }),
            "no split 'val'; needed train or test");
}

TEST(DataRegistry, MissingFashionMnistHintsAtThePackage) {
  const TempDir dir;
  DataOptions options;
  options.share_dir = dir.path();
  EXPECT_CONTAINS(error_of([&] { open_dataset("fashion-mnist", "train", options); }),
                  "apt-get install dataset-fashion-mnist");
}

TEST(DataRegistry, FashionMnistHasNamedClasses) {
  const TempDir dir;
  write_idx(dir / "fashion-mnist", 12);
  DataOptions options;
  options.share_dir = dir.path();
  const auto data = open_dataset("fashion-mnist", "test", options);
  EXPECT_EQ(data->size(), 12);
  EXPECT_EQ(data->classes(), 10);
  EXPECT_EQ(data->class_names()[9], "Ankle boot");
  EXPECT_EQ(data->info().mean, std::vector<float>{.2860f});
  EXPECT_EQ(data->info().std, std::vector<float>{.3530f});
}

}  // namespace
}  // namespace thimble::data_test
