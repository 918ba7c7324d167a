#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/fixtures.h"
#include "support/expect_error.h"
#include "thimble/thimble.h"

namespace thimble {
namespace {

TrainOptions of(const std::string& model, const std::string& depth) {
  TrainOptions options;
  options.model.name = model;
  options.model.variants["depth"] = depth;
  options.model.width = 0.5;
  options.model.batch = 8;
  options.threads = 1;
  options.min_snr_db = -1;
  return options;
}

double least_theory(const Reversibility& r) {
  double least = std::numeric_limits<double>::infinity();
  for (const RebuiltTensor& t : r.tensors) least = std::min(least, t.predicted_db);
  return least;
}

// Each map near the theory, down a chain that loses a hundred dB: noise is not alike everywhere any
// more after a few layers, so that a tenth of what was lost is allowed, and 6 dB.
TEST(Reversibility, MeasuresWhatTheTheorySays) {
  const Reversibility r = reversibility(of("layerwise_invertible", "6"));
  // Of each layer two sums and two norms, of the stem two norms; two pools of each of two streams.
  EXPECT_EQ(std::count_if(r.tensors.begin(), r.tensors.end(),
                          [](const RebuiltTensor& t) { return t.inverted; }),
            (6 - 1) * 4 + 2 + 2 + 4);
  EXPECT_LT(r.least_measured_db, 80);
  EXPECT_NEAR(r.least_measured_db, least_theory(r), 0.2 * (150 - r.least_measured_db));
  for (const RebuiltTensor& t : r.tensors) {
    if (!t.inverted) continue;
    const double lost = std::max(0.0, 150 - t.measured_db);
    EXPECT_GT(t.measured_db, t.predicted_db - 6 - 0.1 * lost) << t.name;
    // Rounding is taken for coarser than it is: the first maps are better.
    if (t.predicted_db < 120) {
      EXPECT_LT(t.measured_db, t.predicted_db + 6 + 0.1 * lost) << t.name;
    }
  }
  EXPECT_LT(r.predicted_before_db, r.least_measured_db + 10);  // it warns rather early
  for (const RebuiltTensor& t : r.tensors) {
    if (t.predicted_loss_db == 0 || std::isnan(t.loss_db)) continue;
    EXPECT_NEAR(t.loss_db, t.predicted_loss_db, 5) << t.name;
  }
}

// What is promised before training is kept by fresh weights, of chains and of hybrids.
TEST(Reversibility, IsPredictedNoBetterThanItIs) {
  for (const auto& [model, depth] :
       {std::pair{"layerwise_invertible", "4"}, std::pair{"layerwise_invertible", "8"},
        std::pair{"hybrid_reversible", "4"}, std::pair{"hybrid_reversible", "8"},
        std::pair{"hybrid_reversible", "16"}}) {
    const Reversibility r = reversibility(of(model, depth));
    EXPECT_LE(r.predicted_before_db, r.least_measured_db) << model << ' ' << depth;
    // Below 20 dB `train` warns: of layer-wise chains that collapse when they are trained.
    const bool collapses =
        std::string(model) == "layerwise_invertible" && std::string(depth) == "8";
    EXPECT_EQ(r.predicted_before_db < 20, collapses) << model << ' ' << depth;
    // Hybrids are not given up for noise that they do not have.
    if (model == std::string("hybrid_reversible")) {
      EXPECT_GT(r.predicted_before_db, r.least_measured_db - 15) << depth;
    }
  }
}

// Each map of a hybrid, also those inside of branches: no branch's first run stands among them.
TEST(Reversibility, OfHybridsTheTheoryIsOfTheSameMap) {
  const Reversibility r = reversibility(of("hybrid_reversible", "6"));
  for (const RebuiltTensor& t : r.tensors) {
    // Rounding is taken for coarser than it is: what has little else is better.
    if (!std::isfinite(t.measured_db) || t.predicted_db > 120) continue;
    EXPECT_NEAR(t.measured_db, t.predicted_db, 10) << t.name << ' ' << t.inverted;
  }
}

// Of frozen norms the running statistics say what is lost, of a leaky ReLU its slope.
TEST(Reversibility, KnowsTheLossOfEachInverseThatDivides) {
  TrainOptions options = of("layerwise_invertible", "4");
  options.model.norm = "frozen";
  int64_t divide = 0;
  for (const RebuiltTensor& t : reversibility(options).tensors) {
    if (t.predicted_loss_db == 0) continue;
    ++divide;
    EXPECT_NEAR(t.predicted_loss_db, 8, 1) << t.name;  // a scale for all, and the slope of 0.2
  }
  EXPECT_EQ(divide, 2 * 4);  // of two streams the stem's and those of all layers but the last
}

// Where nothing of a map is left, that is what is said of it.
TEST(Reversibility, OfLongChainsNothingIsLeft) {
  TrainOptions options = of("layerwise_invertible", "64");
  options.model.width = 0.25;
  options.model.batch = 2;
  options.model.height = 8;
  const Reversibility r = reversibility(options);
  EXPECT_LT(r.least_measured_db, 0);
  EXPECT_LT(r.gradient_db, 10);
  EXPECT_LT(r.predicted_before_db, -300);
  EXPECT_EQ(r.kept_anchors, 0);
}

// Deeper chains are noisier; not so where couplings give back what enters a block.
TEST(Reversibility, HybridsHardlyLoseWithDepth) {
  const auto least = [](const std::string& model, const char* depth) {
    return reversibility(of(model, depth)).least_measured_db;
  };
  EXPECT_GT(least("layerwise_invertible", "4"), least("layerwise_invertible", "8") + 30);
  EXPECT_GT(least("hybrid_reversible", "16"), 80);
  EXPECT_GT(reversibility(of("hybrid_reversible", "16")).gradient_db, 40);
}

TEST(Reversibility, FixedPointLosesNothingBetweenBlocks) {
  TrainOptions options = of("hybrid_reversible", "6");
  options.model.variants["coupling"] = "fixed_point";
  const Reversibility r = reversibility(options);
  int64_t exact = 0;
  for (const RebuiltTensor& t : r.tensors) {
    if (t.name.find(".sum") == std::string::npos || !t.inverted) continue;
    EXPECT_TRUE(std::isinf(t.measured_db)) << t.name;
    EXPECT_TRUE(std::isinf(t.predicted_db)) << t.name;
    ++exact;
  }
  EXPECT_GE(exact, 10);
}

TEST(Reversibility, AnchorsKeepTheRatioThatWasAskedFor) {
  TrainOptions options = of("layerwise_invertible", "10");
  const Reversibility any = reversibility(options);
  EXPECT_EQ(any.kept_anchors, 0);
  options.min_snr_db = 70;
  const Reversibility anchored = reversibility(options);
  EXPECT_GT(anchored.kept_anchors, 0);
  EXPECT_GE(anchored.predicted_before_db, 70);
  EXPECT_GT(anchored.least_measured_db, 60);
  EXPECT_GT(anchored.gradient_db, any.gradient_db);
}

TEST(Reversibility, ReadsDataAndWeights) {
  const cli_test::TempDir dir;
  runtime_test::write_bars(dir / "data", 40, 10);
  TrainOptions options = of("layerwise_invertible", "4");
  options.data.path = dir / "data";
  options.model.height = 16;
  const double fresh = reversibility(options).least_measured_db;
  TrainOptions trained = options;
  trained.run_folder = dir / "run";
  trained.min_snr_db = 100;
  trained.optimizer.learning_rate = 0.05;
  const TrainReport report = train(trained);
  ASSERT_TRUE(report.trained);
  options.initial_weights = report.weights_file;
  EXPECT_NE(reversibility(options).least_measured_db, fresh);
}

TEST(Reversibility, RefusesWhatKeepsEverything) {
  TrainOptions options;
  options.model.name = "lenet";
  expect_user_error([&] { reversibility(options); },
                    "nothing is had again: invert: no saved tensor");
  options.without = {"recompute"};
  expect_user_error([&] { reversibility(options); }, "without has 'recompute'");
  options.without = {};
  options.allow = {"bf16"};
  expect_user_error([&] { reversibility(options); }, "allow nothing else");
}

}  // namespace
}  // namespace thimble
