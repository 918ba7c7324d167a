#include "planner/kernel_times.h"

#include <gtest/gtest.h>

namespace thimble {
namespace {

TEST(KernelTimes, MeasuredWorkTakesWhatItTookAndOtherWorkIsScaledAsItsOp) {
  const KernelTimes times({{"conv2d", 7, 2.0, 1.0}, {"conv2d", 3, 4.0, 1.0}, {"add", 5, 0.5, 1.0}});
  EXPECT_EQ(times.seconds("conv2d", 3, 1), 4);
  EXPECT_EQ(times.seconds("conv2d", 7, 1), 2);
  EXPECT_EQ(times.seconds("conv2d", 8, 10), 30);  // 6 seconds for a roofline of 2
  EXPECT_EQ(times.seconds("add", 8, 10), 5);
  EXPECT_EQ(times.seconds("linear", 8, 10), 10);
  EXPECT_EQ(KernelTimes().seconds("add", 5, 10), 10);
}

TEST(KernelTimes, MergingTakesTheMeanOfWhatBothHave) {
  const KernelTimes old({{"add", 1, 1.0, 1.0}, {"add", 2, 2.0, 1.0}});
  const KernelTimes fresh({{"add", 2, 5.0, 1.0}});
  const KernelTimes both = merged(fresh, old);
  EXPECT_EQ(both.all().size(), 2u);
  EXPECT_EQ(both.seconds("add", 1, 9), 1);
  EXPECT_EQ(both.seconds("add", 2, 9), 3.5);
}

TEST(KernelTimes, ATextIsReadBackUpToWhatMakesNoSense) {
  const KernelTimes times({{"add", 18446744073709551615u, 0.25, 0.5}, {"mul", 4, 2.0, 1.0}});
  EXPECT_EQ(parse_kernel_times(text_of(times)), times);
  EXPECT_EQ(parse_kernel_times("add 1 2 1\nmul 4 -2 1\nadd 2 2 1\n").all().size(), 1u);
  EXPECT_TRUE(parse_kernel_times("").empty());
}

}  // namespace
}  // namespace thimble
