#include "data/registry.h"
#include "fixtures.h"

namespace thimble::data_test {
namespace {

TEST(Idx, ReadsAnyExampleInAnyOrder) {
  const TempDir dir;
  write_idx(dir.path(), 13);
  const auto data = open_dataset(dir.path(), "train");
  EXPECT_EQ(data->size(), 13);
  EXPECT_EQ(data->classes(), 10);
  EXPECT_EQ(data->class_names()[3], "3");
  EXPECT_EQ(data->image(), (Shape{1, 2, 3}));
  EXPECT_EQ(data->bytes_held(), 0);
  const Scratch scratch(data->scratch_bytes(kMiB));
  Collect picture;
  EXPECT_EQ(data->decode(12, scratch.span(), picture), 2);
  EXPECT_EQ(picture.pixels(), (Bytes{12, 13, 14, 15, 16, 17}));
  EXPECT_EQ(data->decode(0, scratch.span(), picture), 0);
  EXPECT_EQ(picture.pixels(), (Bytes{0, 1, 2, 3, 4, 5}));
}

TEST(Idx, PackedFilesGiveTheSamePictures) {
  const TempDir dir;
  const TempDir cache;
  write_idx(dir.path(), 13);
  for (const char* name : {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
    gzip_file(dir / name + ".gz", read_file(dir / name));
    std::filesystem::remove(dir / name);
  }
  DataOptions options;
  options.cache_dir = cache.path();
  const auto data = open_dataset(dir.path(), "test", options);
  const Scratch scratch(data->scratch_bytes(kMiB));
  Collect picture;
  EXPECT_EQ(data->decode(11, scratch.span(), picture), 1);
  EXPECT_EQ(picture.pixels(), (Bytes{11, 12, 13, 14, 15, 16}));
}

TEST(Idx, CountsClassesInTheTrainingPart) {
  const TempDir dir;
  write_idx(dir.path(), 5);
  write_file(dir / "t10k-labels-idx1-ubyte", idx_labels({0, 1, 0, 1, 0}));
  EXPECT_EQ(open_dataset(dir.path(), "test")->classes(), 5);
}

TEST(Idx, CutImagesAreAnError) {
  const TempDir dir;
  write_idx(dir.path(), 13);
  cut_file(dir / "train-images-idx3-ubyte", 90);
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "train"); }),
            dir / "train-images-idx3-ubyte: 90 bytes; its header needs 94 (the file ends early)");
}

TEST(Idx, CutHeaderIsAnError) {
  const TempDir dir;
  write_idx(dir.path(), 13);
  cut_file(dir / "train-images-idx3-ubyte", 7);
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "train"); }),
            dir / "train-images-idx3-ubyte: 7 bytes; an IDX header needs 16");
}

TEST(Idx, WrongMagicIsAnError) {
  const TempDir dir;
  write_idx(dir.path(), 13);
  Bytes bytes = read_file(dir / "train-images-idx3-ubyte");
  bytes[2] = 0x0d;  // floats
  write_file(dir / "train-images-idx3-ubyte", bytes);
  EXPECT_CONTAINS(error_of([&] { open_dataset(dir.path(), "train"); }),
                  "train-images-idx3-ubyte: starts with 0x00000d03; needed 0x00000803");
}

TEST(Idx, LabelsMustMatchPicturesInNumber) {
  const TempDir dir;
  write_idx(dir.path(), 13);
  write_file(dir / "train-labels-idx1-ubyte", idx_labels({1, 2}));
  EXPECT_CONTAINS(error_of([&] { open_dataset(dir.path(), "train"); }),
                  "train-labels-idx1-ubyte: 2 labels; needed 13");
}

TEST(Idx, LabelWithoutANameIsAnError) {
  const TempDir dir;
  write_idx(dir / "fashion-mnist", 2);
  write_file(dir / "fashion-mnist/train-labels-idx1-ubyte", idx_labels({10, 0}));
  DataOptions options;
  options.share_dir = dir.path();
  EXPECT_CONTAINS(error_of([&] { open_dataset("fashion-mnist", "train", options); }),
                  "train-labels-idx1-ubyte: example 0 has label 10; needed at most 9");
}

TEST(Idx, LabelThatWouldWidenTheClassesIsAnError) {
  const TempDir dir;
  write_idx(dir.path(), 13);
  write_file(dir / "train-labels-idx1-ubyte",
             idx_labels({0, 1, 2, 3, 4, 5, 6, 255, 7, 8, 9, 0, 1}));
  const std::string refusal =
      dir / "train-labels-idx1-ubyte" +
      ": example 7 has label 255, but no example has label 10; needed every label from 0 to the "
      "largest; hint: --classes 256 when that is right";
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "train"); }), refusal);
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "test"); }), refusal);
  DataOptions options;
  options.classes = 256;
  EXPECT_EQ(open_dataset(dir.path(), "train", options)->classes(), 256);
  options.classes = 10;
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "train", options); }),
            dir / "train-labels-idx1-ubyte: example 7 has label 255; needed at most 9");
}

TEST(Idx, TestLabelThatTrainingLacksIsAnError) {
  const TempDir dir;
  write_idx(dir.path(), 5);
  write_file(dir / "t10k-labels-idx1-ubyte", idx_labels({0, 1, 5, 1, 0}));
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "test"); }),
            dir / "t10k-labels-idx1-ubyte: example 2 has label 5; needed at most 4");
}

TEST(Idx, MissingPartIsAnError) {
  const TempDir dir;
  write_idx(dir.path(), 13);
  std::filesystem::remove(dir / "t10k-images-idx3-ubyte");
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "train"); }), "");
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "test"); }),
            dir.path() + ": no file t10k-images*idx3-ubyte or t10k-images*idx3-ubyte.gz");
}

TEST(Idx, FileThatShrinksWhileOpenIsAnError) {
  const TempDir dir;
  write_idx(dir.path(), 13);
  const auto data = open_dataset(dir.path(), "train");
  cut_file(dir / "train-images-idx3-ubyte", 90);
  const Scratch scratch(data->scratch_bytes(kMiB));
  Collect picture;
  EXPECT_CONTAINS(error_of([&] { data->decode(12, scratch.span(), picture); }),
                  "ends at byte 90; needed 6 bytes at 88");
}

}  // namespace
}  // namespace thimble::data_test
