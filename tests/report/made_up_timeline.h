#pragma once

#include "made_up.h"

namespace thimble::report_test {

// Three steps and four blocks in 4 MiB; one has the name that is given.
inline PlanTimeline made_up_timeline(const std::string& name = "stem.conv") {
  PlanTimeline t;
  t.plan = made_up_plan(mebibytes(96));
  t.plan.arena_bytes = t.plan.lower_bound_bytes = mebibytes(4);
  t.plan.fixed_bytes = mebibytes(93);
  t.options.model.name = "lenet";
  t.options.model.batch = 16;
  t.steps = {{"conv2d", "stem", "forward", false},
             {"conv2d", "stem", "backward", true},
             {"conv2d_backward_weights", "stem", "backward", false}};
  t.blocks = {{{{"stem.weight", {8, 3, 3, 3}, "f32"}}, "weights", mebibytes(1), 0, 0, 3},
              {{{name, {2, 8, 16, 16}, "f32"}}, "saved", mebibytes(2), mebibytes(1), 0, 3},
              {{{"a", {4}, "f32"}, {"b", {}, "i32"}}, "temporaries", 4096, mebibytes(3), 1, 2},
              {{{"scratch of conv2d stem", {}, ""}}, "scratchpad", 8192, mebibytes(3), 2, 3}};
  t.peak_step = 2;
  t.plan.uses = {{"order", "early_update", 4096, 0}, {"recompute", "1 of 1", -8192, 0.002}};
  return t;
}

inline std::vector<FrontierPoint> made_up_frontier() {
  return {{true, mebibytes(80), mebibytes(64), 0.010, "bit_exact", {"in_place"}},
          {false, mebibytes(70), mebibytes(54), 0.011, "bit_exact", {"recompute"}},
          {true, mebibytes(40), mebibytes(24), 0.015, "same_math", {"microbatch: 2 of 8"}}};
}

}  // namespace thimble::report_test
