#include "planner/numerics.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Numerics, ComeBackFromTheirText) {
  const Numerics numerics{4, {{find_technique("bf16"), 1}, {find_technique("row_bands"), 8}}};
  EXPECT_EQ(text_of(numerics), "microbatch=4,bf16=1,row_bands=8");
  EXPECT_EQ(parse_numerics(text_of(numerics)), numerics);
  EXPECT_EQ(parse_numerics("microbatch=1"), Numerics{});
}

TEST(Numerics, ATextThatNamesNoTechniqueIsRefused) {
  for (const char* text : {"microbatch", "microbatch=", "microbatch=0", "microbatch=x", "bf17=1",
                           "bf16=1x", "microbatch=2,,bf16=1"}) {
    expect_user_error([&] { parse_numerics(text); }, "is no technique of this thimble");
  }
}

}  // namespace
}  // namespace thimble
