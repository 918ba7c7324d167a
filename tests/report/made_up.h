#pragma once

#include "thimble/thimble.h"

namespace thimble::report_test {

// A plan of round numbers: 16 MiB fixed, 64 MiB arena.
inline PlanReport made_up_plan(int64_t budget_bytes) {
  PlanReport r;
  r.budget_bytes = budget_bytes;
  r.fixed_bytes = mebibytes(16);
  r.arena_bytes = mebibytes(64);
  r.process_bytes = mebibytes(80);
  r.fits = budget_bytes == 0 || budget_bytes >= r.process_bytes;
  r.lower_bound_bytes = mebibytes(62.5);
  r.smallest_budget_bytes = mebibytes(80.25);
  r.by_category = {mebibytes(8),  mebibytes(4), mebibytes(1), mebibytes(30),
                   mebibytes(15), mebibytes(2), mebibytes(4)};
  r.parameters = 23508032;
  r.active_parameters = 2350803;
  r.predicted_step_seconds = 0.0123;
  r.promise = "bit_exact";
  r.techniques = {"order: as written", "in_place"};
  r.peak_step = "backward conv2d stem.conv";
  r.peak_tensors = {{"stem.conv.dst", "saved", mebibytes(12)},
                    {"stem.conv.diff_dst", "temporaries", mebibytes(9.5)}};
  return r;
}

inline TrainReport made_up_run(int64_t budget_bytes) {
  TrainReport r;
  r.plan = made_up_plan(budget_bytes);
  r.trained = r.plan.fits;
  r.peak_rss_bytes = mebibytes(79);
  r.step_seconds_median = 0.0031;
  r.samples_per_second = 5321.4;
  r.loss = 0.3312;
  r.accuracy = 0.8815;
  r.weights_file = "runs/a/model.safetensors";
  return r;
}

inline std::vector<LayerProfile> made_up_layers() {
  return {{"stem.conv", "conv2d", {8, 32, 16, 16}, 864, 12345678, 24691356, mebibytes(1), 4096},
          {"loss", "softmax_cross_entropy", {}, 0, 100, 200, 320, 64}};
}

inline Profile made_up_block_profile() {
  Profile p = {made_up_layers()};
  p.blocks = {{"stem", false, 2207744, 50176, 2207744, false, 3000000, 60000, 3000000},
              {"block1", true, 5619712, 831040, 5720064, true, 9000000, 1000000, 9500000},
              {"head", false, 313600, 1939808, 2240448, false, 400000, 2000000, 2100000}};
  p.all_blocks = {"all", false, 5619712, 1939808, 5720064, false, 9000000, 2000000, 9500000};
  p.planned_examples = 4;
  p.paper_total_bytes = 50529472;
  p.options.model = {.name = "mobilenet_v2", .batch = 8, .train = "side,head"};
  return p;
}

inline PruneReport made_up_pruning() {
  PruneReport r;
  r.blocks = {{"block2",
               0.78125,
               96,
               21,
               true,
               {"block2", true, 5619712, 831040, 5720064},
               {"block2", true, 1856512, 652680, 1925504}}};
  r.before = {"all", false, 5619712, 1939808, 5720064};
  r.after = {"all", false, 1906688, 1677364, 2020956};
  r.peak_block = "block13";
  r.target_bytes = 2000000;
  r.parameters_before = 3504872;
  r.parameters = 3491757;
  r.examples = 128;
  r.file = "pruned.thimble";
  return r;
}

}  // namespace thimble::report_test
