#include "data/picture_files.h"

#include "fixtures.h"

namespace thimble::data_test {
namespace {

TEST(PictureFiles, ReadsFilesFromAnywhereAndKeepsWhatIsWrongWithThem) {
  const TempDir dir;
  write_png(dir / "a/x.png", 2, 3, [](int, int, int) { return 7; });
  write_png(dir / "cut.png", 2, 3, [](int, int, int) { return 7; });
  cut_file(dir / "cut.png", 50);
  const PictureFiles files({}, {dir / "a/x.png", dir / "cut.png", dir / "none.jpg"});
  EXPECT_EQ(files.size(), 3);
  const Scratch scratch(files.scratch_bytes(0));
  Collect picture;
  EXPECT_EQ(files.decode(0, scratch.span(), picture), 0);
  EXPECT_EQ(picture.at(1, 2, 0), 7);
  for (const int64_t i : {1, 2}) {
    const std::string error = error_of([&] { files.decode(i, scratch.span(), picture); });
    EXPECT_CONTAINS(error, files.path(i) + ": ");
    EXPECT_EQ(files.error(i), error);
  }
  EXPECT_EQ(files.error(0), "");
}

}  // namespace
}  // namespace thimble::data_test
