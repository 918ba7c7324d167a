#include "report/frontier.h"

#include <gtest/gtest.h>

#include <fstream>

#include "data/fixtures.h"
#include "made_up_timeline.h"
#include "support/expect_error.h"

namespace thimble::report_test {
namespace {

using data_test::TempDir;

MeasuredPoints points_in(const std::string& text) {
  const TempDir dir;
  std::ofstream(dir / "points.json") << text;
  return read_points(dir / "points.json");
}

TEST(ReportFrontier, TextHasALineForEachPlannedPoint) {
  TrainOptions options;
  options.model.name = "lenet";
  options.model.batch = 8;
  options.budget_bytes = mebibytes(64);
  EXPECT_EQ(
      frontier_text(made_up_frontier(), options, {"quiet", {{"other", mebibytes(300), 0.02}}}),
      R"(frontier: lenet, batch 8, from 80.0 MiB down to 40.0 MiB of memory

   process     arena     step   time  promise            how
  80.0 MiB  64.0 MiB  10.0 ms  1.00x  bit_exact          in_place
  40.0 MiB  24.0 MiB  15.0 ms  1.50x  same_math  ◀ fits  microbatch: 2 of 8

process and arena are of real plans, each made in a process of its own; step is predicted,
time beside the fastest
1 more lie between them, estimated: --json and --html have them

measured elsewhere: quiet
  300.0 MiB  20.0 ms  2.00x  other
)");
}

TEST(ReportFrontier, SaysWhenNothingFits) {
  TrainOptions options;
  options.budget_bytes = mebibytes(10);
  EXPECT_NE(frontier_text(made_up_frontier(), options, {}).find("none fits in 10.0 MiB\n"),
            std::string::npos);
}

TEST(ReportFrontier, ReadsMeasuredPointsInBothForms) {
  const std::string list = R"([{"name": "PyTorch", "bytes": 4096, "seconds": 0.25}])";
  const MeasuredPoints plain = points_in(list);
  ASSERT_EQ(plain.points.size(), 1u);
  EXPECT_EQ(plain.points[0].name, "PyTorch");
  EXPECT_EQ(plain.points[0].bytes, 4096);
  EXPECT_EQ(plain.points[0].seconds, 0.25);
  const MeasuredPoints told = points_in(R"({"settings": "quiet", "points": )" + list + "}");
  EXPECT_EQ(told.settings, "quiet");
  EXPECT_EQ(told.points.size(), 1u);
}

TEST(ReportFrontier, SaysWhatIsWrongWithMeasuredPoints) {
  expect_user_error([] { read_points("nowhere.json"); }, "nowhere.json: cannot read");
  expect_user_error([] { points_in("[{"); }, "is not JSON");
  expect_user_error([] { points_in("{}"); }, "needs a list of measured points");
  expect_user_error([] { points_in(R"([{"bytes": 1, "seconds": 1}])"); },
                    "point 1 needs a \"name\"");
  expect_user_error([] { points_in(R"([{"name": "a", "bytes": "1MiB", "seconds": 1}])"); },
                    "point 1 needs \"bytes\", a number above 0");
  expect_user_error([] { points_in(R"([{"name": "a", "bytes": 1, "seconds": 0}])"); },
                    "needs \"seconds\", a number above 0");
}

}  // namespace
}  // namespace thimble::report_test
