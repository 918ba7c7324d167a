#include "report/format.h"

#include <gtest/gtest.h>

#include <cmath>

namespace thimble {
namespace {

TEST(ReportFormat, CountsHaveThreeDigits) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1.00k");
  EXPECT_EQ(format_count(25557032), "25.6M");
  EXPECT_EQ(format_count(4111514624), "4.11G");
  EXPECT_EQ(format_count(999999), "1.00M");
}

TEST(ReportFormat, SecondsTakeTheUnitThatFits) {
  EXPECT_EQ(format_seconds(0.00312), "3.12 ms");
  EXPECT_EQ(format_seconds(0.0123), "12.3 ms");
  EXPECT_EQ(format_seconds(1.234), "1.23 s");
}

TEST(ReportFormat, ClockKnowsWhatItDoesNotKnow) {
  EXPECT_EQ(format_clock(0), "0:00");
  EXPECT_EQ(format_clock(133), "2:13");
  EXPECT_EQ(format_clock(3723), "1:02:03");
  EXPECT_EQ(format_clock(-1), "-:--");
  EXPECT_EQ(format_clock(std::nan("")), "-:--");
  EXPECT_EQ(format_clock(INFINITY), "-:--");
}

TEST(ReportFormat, ExactBytesLoseNothing) {
  EXPECT_EQ(exact_bytes(96 << 20), "96MiB");
  EXPECT_EQ(exact_bytes(84148224), "82176KiB");
  EXPECT_EQ(exact_bytes(1025), "1025");
}

TEST(ReportFormat, BarFillsItsShare) {
  EXPECT_EQ(format_bar(0.5, 4, true), "██░░");
  EXPECT_EQ(format_bar(0.5, 4, false), "##..");
  EXPECT_EQ(format_bar(7, 3, false), "###");
  EXPECT_EQ(format_bar(-1, 3, false), "...");
  EXPECT_EQ(format_bar(std::nan(""), 3, false), "...");
}

TEST(ReportFormat, ScreenWidthCountsCharacters) { EXPECT_EQ(screen_width("a█░b"), 4u); }

}  // namespace
}  // namespace thimble
