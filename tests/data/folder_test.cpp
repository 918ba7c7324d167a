#include <sys/stat.h>

#include "data/registry.h"
#include "fixtures.h"

namespace thimble::data_test {
namespace {

Pixels constant(int value) {
  return [value](int, int, int) { return value; };
}

// The red value of the first pixel, and the label.
std::pair<int, int> decode_first_pixel(const Dataset& data, int64_t index) {
  const Scratch scratch(data.scratch_bytes(kMiB));
  Collect picture;
  const int label = data.decode(index, scratch.span(), picture);
  return {picture.at(0, 0, 0), label};
}

TEST(Folder, ClassesAndFilesAreSorted) {
  const TempDir dir;
  write_png(dir / "train/dog/b.png", 4, 4, constant(30));
  write_png(dir / "train/dog/a.PNG", 4, 4, constant(20));
  write_png(dir / "train/cat/z.png", 9, 5, constant(10));
  const auto data = open_dataset(dir.path(), "train");
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(data->class_names(), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(data->image(), (Shape{3, 0, 0}));
  EXPECT_EQ(decode_first_pixel(*data, 0), std::pair(10, 0));
  EXPECT_EQ(decode_first_pixel(*data, 1), std::pair(20, 1));
  EXPECT_EQ(decode_first_pixel(*data, 2), std::pair(30, 1));
}

TEST(Folder, HoldsNamesInOneBlock) {
  const TempDir dir;
  for (int i = 0; i < 100; ++i) {
    write_file(dir / "train/c/" + std::to_string(1000 + i) + ".jpg", {});
  }
  // 9 letters with the end and 4 bytes of place for each file; 8 for each class; 1 end.
  EXPECT_EQ(open_dataset(dir.path(), "train")->bytes_held(), 100 * (9 + 4) + 8 + 1);
}

TEST(Folder, OtherFilesAreLeftOut) {
  const TempDir dir;
  write_png(dir / "train/cat/a.png", 4, 4, constant(10));
  write_file(dir / "train/cat/notes.txt", {1});
  write_file(dir / "train/cat/._a.png", {1});
  write_file(dir / "train/.hidden/a.png", {1});
  EXPECT_EQ(open_dataset(dir.path(), "train")->size(), 1);
}

TEST(Folder, TestLabelsAreThoseOfTheTrainingPart) {
  const TempDir dir;
  write_png(dir / "train/ant/a.png", 4, 4, constant(1));
  write_png(dir / "train/bee/a.png", 4, 4, constant(2));
  write_png(dir / "test/bee/a.png", 4, 4, constant(3));
  const auto data = open_dataset(dir.path(), "test");
  EXPECT_EQ(data->classes(), 2);
  EXPECT_EQ(decode_first_pixel(*data, 0), std::pair(3, 1));
}

TEST(Folder, ClassThatTrainingLacksIsAnError) {
  const TempDir dir;
  write_png(dir / "train/ant/a.png", 4, 4, constant(1));
  write_png(dir / "test/wasp/a.png", 4, 4, constant(3));
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "test"); }),
            dir / "test/wasp: not a class of the training data");
}

TEST(Folder, EmptyClassIsAnError) {
  const TempDir dir;
  write_png(dir / "train/ant/a.png", 4, 4, constant(1));
  std::filesystem::create_directories(dir / "train/bee");
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "train"); }),
            dir / "train/bee: no .jpg, .jpeg or .png files");
}

TEST(Folder, NoClassesIsAnError) {
  const TempDir dir;
  write_png(dir / "train/a.png", 4, 4, constant(1));
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "train"); }), dir / "train: no class folders");
}

TEST(Folder, MissingSplitIsAnError) {
  const TempDir dir;
  write_png(dir / "train/ant/a.png", 4, 4, constant(1));
  EXPECT_EQ(error_of([&] { open_dataset(dir.path(), "test"); }),
            dir / "test: no such folder; needed test/<class>/*.jpg or .png");
}

TEST(Folder, FileThatIsGoneIsAnError) {
  const TempDir dir;
  write_png(dir / "train/ant/a.png", 4, 4, constant(1));
  const auto data = open_dataset(dir.path(), "train");
  std::filesystem::remove(dir / "train/ant/a.png");
  EXPECT_EQ(error_of([&] { decode_first_pixel(*data, 0); }),
            dir / "train/ant/a.png: cannot open: No such file or directory");
}

// A pipe without a writer would wait for ever.
TEST(Folder, PipeAmongPicturesIsAnError) {
  const TempDir dir;
  write_png(dir / "train/ant/a.png", 4, 4, constant(1));
  ASSERT_EQ(::mkfifo((dir / "train/ant/b.png").c_str(), 0600), 0);
  const auto data = open_dataset(dir.path(), "train");
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(decode_first_pixel(*data, 0), std::pair(1, 0));
  EXPECT_EQ(error_of([&] { decode_first_pixel(*data, 1); }),
            dir / "train/ant/b.png: not a regular file");
}

TEST(Folder, LinkThatLeadsToItselfIsAnError) {
  const TempDir dir;
  write_png(dir / "train/ant/a.png", 4, 4, constant(1));
  std::filesystem::create_symlink("b.png", dir / "train/ant/b.png");
  std::filesystem::create_directory_symlink("..", dir / "train/ant/all.png");  // not a picture
  std::filesystem::create_symlink("loop", dir / "train/loop");                 // not a class
  const auto data = open_dataset(dir.path(), "train");
  EXPECT_EQ(data->classes(), 1);
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(error_of([&] { decode_first_pixel(*data, 1); }),
            dir / "train/ant/b.png: cannot open: Too many levels of symbolic links");
}

// What was computed of the old picture is not taken for the new one's.
TEST(Folder, APictureThatIsReplacedChangesTheFingerprint) {
  const TempDir dir;
  write_png(dir / "train/cat/a.png", 8, 8, gradient);
  const uint64_t before = open_dataset(dir.path(), "train")->fingerprint();
  EXPECT_EQ(open_dataset(dir.path(), "train")->fingerprint(), before);
  write_png(dir / "train/cat/a.png", 9, 9, gradient);
  EXPECT_NE(open_dataset(dir.path(), "train")->fingerprint(), before);
}

}  // namespace
}  // namespace thimble::data_test
