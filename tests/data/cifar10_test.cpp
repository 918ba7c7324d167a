#include "data/registry.h"
#include "fixtures.h"

namespace thimble::data_test {
namespace {

// Records whose red plane is `10 * label`, green plane the row, blue plane the column.
Bytes records(const Bytes& labels) {
  Bytes bytes;
  for (const uint8_t label : labels) {
    bytes.push_back(label);
    for (int c = 0; c < 3; ++c) {
      for (int p = 0; p < 1024; ++p) {
        const int v = c == 0 ? 10 * label : (c == 1 ? p / 32 : p % 32);
        bytes.push_back(static_cast<uint8_t>(v));
      }
    }
  }
  return bytes;
}

TEST(Cifar10, FilesFollowEachOther) {
  const TempDir dir;
  write_file(dir / "data_batch_1.bin", records({3, 1}));
  write_file(dir / "data_batch_2.bin", records({4, 9, 5}));
  for (const char* n : {"3", "4", "5"}) write_file(dir / "data_batch_" + n + ".bin", records({7}));
  const auto data = open_dataset(dir.path(), "train");
  EXPECT_EQ(data->size(), 8);
  EXPECT_EQ(data->classes(), 10);
  EXPECT_EQ(data->class_names()[9], "truck");
  EXPECT_EQ(data->image(), (Shape{3, 32, 32}));
  const Scratch scratch(data->scratch_bytes(kMiB));
  Collect picture;
  EXPECT_EQ(data->decode(1, scratch.span(), picture), 1);
  EXPECT_EQ(data->decode(2, scratch.span(), picture), 4);
  EXPECT_EQ(data->decode(4, scratch.span(), picture), 5);
  EXPECT_EQ(picture.pixels().size(), 3072u);
  EXPECT_EQ(picture.at(7, 20, 0), 50);
  EXPECT_EQ(picture.at(7, 20, 1), 7);
  EXPECT_EQ(picture.at(7, 20, 2), 20);
}

TEST(Cifar10, FindsTheFolderOfTheArchive) {
  const TempDir dir;
  write_file(dir / "cifar-10-batches-bin/test_batch.bin", records({3, 1}));
  EXPECT_EQ(open_dataset(dir.path(), "test")->size(), 2);
}

TEST(Cifar10, MissingSplitIsAnError) {
  const TempDir dir;
  write_file(dir / "test_batch.bin", records({3}));
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "train"); }),
            dir.path() + ": no file data_batch_*.bin");
}

TEST(Cifar10, MissingBatchFileIsAnError) {
  for (const char* missing : {"1", "3", "5"}) {
    const TempDir dir;
    const std::string folder = dir / "cifar-10-batches-bin";
    for (const char* n : {"1", "2", "3", "4", "5"}) {
      if (n != std::string(missing)) {
        write_file(folder + "/data_batch_" + n + ".bin", records({7}));
      }
    }
    EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "train"); }),
              folder + ": no file data_batch_" + missing +
                  ".bin; needed data_batch_1.bin to data_batch_5.bin; hint: unpack the archive "
                  "again");
  }
}

TEST(Cifar10, CutFileIsAnError) {
  const TempDir dir;
  write_file(dir / "test_batch.bin", records({3, 1}));
  cut_file(dir / "test_batch.bin", 6000);
  EXPECT_CONTAINS(error_of([&] { open_dataset(dir.path(), "test"); }),
                  "test_batch.bin: 6000 bytes; needed a multiple of 3073");
}

TEST(Cifar10, LabelOutOfRangeIsAnError) {
  const TempDir dir;
  write_file(dir / "test_batch.bin", records({3, 11}));
  const auto data = open_dataset(dir.path(), "test");
  const Scratch scratch(data->scratch_bytes(kMiB));
  Collect picture;
  EXPECT_CONTAINS(error_of([&] { data->decode(1, scratch.span(), picture); }),
                  "test_batch.bin: record 1 has label 11; needed at most 9");
}

}  // namespace
}  // namespace thimble::data_test
