#include "planner/numerics.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/expect_error.h"

namespace thimble {
namespace {

const Technique* technique(const std::string& name) {
  const auto& all = techniques();
  return *std::find_if(all.begin(), all.end(), [&](const Technique* t) { return t->name == name; });
}

TEST(Numerics, ComeBackFromTheirText) {
  const Numerics numerics{4, {{technique("bf16"), 1}, {technique("row_bands"), 8}}};
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
