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

TEST(Numerics, WhatIsPinnedComesBackToo) {
  Numerics numerics{1, {{find_technique("compress_saved"), 1}}};
  numerics.pinned = true;
  EXPECT_EQ(parse_numerics(text_of(numerics)), numerics);
  RecomputePlan stages;
  stages.stage_begins = {0, 3, 7};
  stages.lean = {true, false};
  stages.actions = {{false, 0}, {false, 1}, {true, 1}, {true, 0}};
  RecomputePlan runs;
  runs.runs = {{Run::Kind::first, 0}, {Run::Kind::again, 5}, {Run::Kind::sum, 17}};
  for (const RecomputePlan& plan : {stages, runs}) {
    numerics.recompute = plan;
    EXPECT_EQ(parse_numerics(text_of(numerics)), numerics);
    const std::string text = text_of(numerics);
    expect_user_error([&] { parse_numerics(text.substr(0, text.size() - 4)); },
                      "is told by half a list");
  }
}

TEST(Numerics, ATextThatNamesNoTechniqueIsRefused) {
  for (const char* text : {"microbatch", "microbatch=", "microbatch=0", "microbatch=x", "bf17=1",
                           "bf16=1x", "microbatch=2,,bf16=1"}) {
    expect_user_error([&] { parse_numerics(text); }, "is no technique of this thimble");
  }
}

}  // namespace
}  // namespace thimble
