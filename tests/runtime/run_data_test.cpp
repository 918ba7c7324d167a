#include "runtime/run_data.h"

#include <gtest/gtest.h>

#include "data/fixtures.h"

namespace thimble {
namespace {

using namespace data_test;

Bytes bytes_of(const std::string& text) { return Bytes(text.begin(), text.end()); }

TEST(RunData, ComesBackToTheBit) {
  const TempDir dir;
  const RunData data = {{"a \"b\"", "\xc3\xa4"}, {{.485f, .456f, .406f}, {1 / 255.0f}, true}};
  write_run_data(dir / "data.json", data);
  const RunData back = read_run_data(dir / "data.json");
  EXPECT_EQ(back.classes, data.classes);
  EXPECT_EQ(back.pixels.mean, data.pixels.mean);
  EXPECT_EQ(back.pixels.std, data.pixels.std);
  EXPECT_TRUE(back.pixels.bgr);
}

TEST(RunData, BrokenFilesAreNamed) {
  const TempDir dir;
  const std::string path = dir / "data.json";
  const auto error = [&] { return error_of([&] { read_run_data(path); }); };
  EXPECT_CONTAINS(error(), path + ": is not there: an older thimble made this run; hint: ");
  for (const auto& [text, problem] : std::vector<std::pair<std::string, std::string>>{
           {"[", ": is not a JSON object"},
           {"{}", ": is broken: "},
           {R"({"classes": [1], "pixels": {}})", ": is broken: "},
           {R"({"classes": ["a"], "pixels": {"mean": [1, 2], "std": [1], "bgr": false}})",
            ": mean has 2 numbers, needs 1 or 3"},
           {R"({"classes": ["a"], "pixels": {"mean": [1], "std": [1e99], "bgr": false}})",
            ": std has a number that is not finite"}}) {
    write_file(path, bytes_of(text));
    EXPECT_CONTAINS(error(), path + problem);
  }
}

}  // namespace
}  // namespace thimble
