#include "data/class_sorted.h"

#include <map>
#include <set>

#include "data/class_draw.h"
#include "data/registry.h"
#include "fixtures.h"

namespace thimble::data_test {
namespace {

// IDX pictures whose first pixel is their number.
class Sorted : public testing::Test {
 protected:
  // Example i has labels[i].
  std::unique_ptr<Dataset> data(const Bytes& labels, int64_t classes = 0) {
    const auto count = static_cast<uint32_t>(labels.size());
    for (const char* prefix : {"train", "t10k"}) {
      write_file(dir_ / prefix + "-images-idx3-ubyte", idx_images(count, 2, 3));
      write_file(dir_ / prefix + "-labels-idx1-ubyte", idx_labels(labels));
    }
    DataOptions options;
    options.classes = classes;
    return open_dataset(dir_.path(), "train", options);
  }

  static int number_of(const Dataset& data, int64_t index) {
    const Scratch scratch(data.scratch_bytes(kMiB));
    Collect picture;
    EXPECT_EQ(data.decode(index, scratch.span(), picture), data.label(index));
    return picture.at(0, 0, 0);
  }

  static std::vector<int> numbers_of(const Dataset& data) {
    std::vector<int> numbers;
    for (int64_t i = 0; i < data.size(); ++i) numbers.push_back(number_of(data, i));
    return numbers;
  }

  const TempDir dir_;
};

const Bytes kLabels = {2, 0, 0, 2, 1, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 2};  // 10, 1 and 5

TEST_F(Sorted, CountsEachClass) {
  EXPECT_EQ(class_counts(*data(kLabels)), (std::vector<int64_t>{10, 1, 5}));
  EXPECT_EQ(class_counts(*data(kLabels, 5)), (std::vector<int64_t>{10, 1, 5, 0, 0}));
}

TEST_F(Sorted, KeepsTheSameShareOfEachClassAside) {
  const auto whole = data(kLabels);
  const ValidationSplit split = split_by_class(*whole, 0.2, 7);
  EXPECT_EQ(class_counts(*split.train), (std::vector<int64_t>{8, 1, 4}));
  EXPECT_EQ(class_counts(*split.validation), (std::vector<int64_t>{2, 0, 1}));
  const auto ends = split.train->class_ends();
  EXPECT_EQ(std::vector<int64_t>(ends.begin(), ends.end()), (std::vector<int64_t>{8, 9, 13}));
  const auto kept = split.validation->class_ends();
  EXPECT_EQ(std::vector<int64_t>(kept.begin(), kept.end()), (std::vector<int64_t>{2, 3}));
}

TEST_F(Sorted, EachExampleIsInOnePartAndKeepsItsLabel) {
  const auto whole = data(kLabels);
  const ValidationSplit split = split_by_class(*whole, 0.3, 7);
  std::set<int> seen;
  for (const Dataset* part : {split.train.get(), split.validation.get()}) {
    const std::vector<int> numbers = numbers_of(*part);
    for (size_t i = 0; i < numbers.size(); ++i) {
      const auto number = static_cast<size_t>(numbers[i]);
      EXPECT_EQ(part->label(static_cast<int64_t>(i)), kLabels[number]);
      seen.insert(numbers[i]);
    }
  }
  EXPECT_EQ(seen.size(), kLabels.size());
}

TEST_F(Sorted, TheSeedDecidesWhichAreKeptAside) {
  const auto whole = data(kLabels);
  const auto kept = [&](uint64_t seed) {
    return numbers_of(*split_by_class(*whole, 0.3, seed).validation);
  };
  EXPECT_EQ(kept(1), kept(1));
  EXPECT_NE(kept(1), kept(2));
}

TEST_F(Sorted, AShareOfNothingKeepsNothingAside) {
  const auto whole = data(kLabels);
  const ValidationSplit split = split_by_class(*whole, 0, 7);
  EXPECT_EQ(split.validation, nullptr);
  EXPECT_EQ(split.train->size(), 16);
}

TEST_F(Sorted, EveryClassGivesOneAndKeepsOne) {
  const auto whole = data({0, 1, 0, 1});
  for (double share : {0.01, 0.99}) {
    const ValidationSplit split = split_by_class(*whole, share, 7);
    EXPECT_EQ(class_counts(*split.train), (std::vector<int64_t>{1, 1}));
    EXPECT_EQ(class_counts(*split.validation), (std::vector<int64_t>{1, 1}));
  }
}

TEST_F(Sorted, ClassesOfOneExampleCannotBeSplit) {
  const auto whole = data({0, 1, 2});
  EXPECT_CONTAINS(error_of([&] { split_by_class(*whole, 0.5, 7); }),
                  "no class has two examples, so none can be kept aside for validation");
}

TEST_F(Sorted, BooksFourBytesForAnExample) {
  const auto whole = data(kLabels);
  EXPECT_EQ(split_by_class(*whole, 0, 7).train->bytes_held() / 64, 1);
}

// 90, 8 and 2 examples.
const std::vector<int64_t> kEnds = {90, 98, 100};

std::vector<int> class_of_places(int64_t epoch, int64_t places) {
  std::vector<int> classes;
  for (int64_t p = 0; p < places; ++p) {
    const int64_t example = [&] {
      const DrawnExample d = draw_by_class(kEnds, 5, epoch, p);
      return d.first + d.at;
    }();
    classes.push_back(example < 90 ? 0 : example < 98 ? 1 : 2);
  }
  return classes;
}

TEST(ClassDraw, EachRoundHasEachClassOnce) {
  const std::vector<int> classes = class_of_places(3, 99);
  std::set<std::vector<int>> orders;
  for (size_t round = 0; round < 33; ++round) {
    const std::vector<int> order(classes.begin() + static_cast<std::ptrdiff_t>(3 * round),
                                 classes.begin() + static_cast<std::ptrdiff_t>(3 * round + 3));
    EXPECT_EQ(std::set<int>(order.begin(), order.end()), (std::set<int>{0, 1, 2}));
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6u);  // all there are
}

TEST(ClassDraw, AClassShowsItsExamplesInTurn) {
  std::map<int64_t, int> seen;
  for (int64_t p = 0; p < 96; ++p) {  // 32 of each class
    const DrawnExample d = draw_by_class(kEnds, 5, 0, p);
    EXPECT_LT(d.at, d.count);
    ++seen[d.first + d.at];
  }
  for (int64_t i = 90; i < 98; ++i) EXPECT_EQ(seen[i], 4) << i;
  for (int64_t i = 98; i < 100; ++i) EXPECT_EQ(seen[i], 16) << i;
  for (int64_t i = 0; i < 90; ++i) EXPECT_LE(seen[i], 1) << i;
}

TEST(ClassDraw, SeedAndEpochDecide) {
  EXPECT_EQ(class_of_places(1, 60), class_of_places(1, 60));
  EXPECT_NE(class_of_places(1, 60), class_of_places(2, 60));
  const auto first = [](uint64_t seed, int64_t epoch) {
    std::vector<int64_t> places;
    for (int64_t p = 0; p < 60; ++p) places.push_back(draw_by_class(kEnds, seed, epoch, p).at);
    return places;
  };
  EXPECT_NE(first(1, 0), first(2, 0));
}

TEST(ClassDraw, OneClassIsAPlainShuffle) {
  const std::vector<int64_t> ends = {10};
  std::set<int64_t> seen;
  for (int64_t p = 0; p < 10; ++p) seen.insert(draw_by_class(ends, 5, 0, p).at);
  EXPECT_EQ(seen.size(), 10u);
}

}  // namespace
}  // namespace thimble::data_test
