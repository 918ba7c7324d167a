#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/core/builder.h"
#include "ops/core/groups.h"
#include "support/arena_run.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

struct Key {
  double step = 3, seed = 42, sample_offset = 0;
  int64_t layer = 7;
};

// A tensor that waits in groups, and what comes back; where `image` says so between layers that
// have a layout of their own.
Graph through_groups(const Shape& shape, int64_t bits, int64_t layer, bool image) {
  Graph g;
  g.name = "groups";
  const TensorId src = g.add_tensor({"src", shape, ElementType::f32, Role::data, {}, false});
  const TensorId counter = g.add_tensor({"counter", {4}, ElementType::i32, Role::data, {}, false});
  const Attributes one = {{"kernel", both(1)}, {"stride", both(1)}};
  const TensorId x =
      image ? append_node(g, Phase::forward, "average_pool", "before", {src}, one)[0] : src;
  const TensorId codes = append_node(g, Phase::forward, "quantize", "q", {x, counter},
                                     {{"bits", bits}, {"layer", layer}})[0];
  const TensorId back =
      append_node(g, Phase::backward, "dequantize", "q", {codes},
                  {{"bits", bits}, {"shape", ints({shape.begin(), shape.end()})}})[0];
  if (image) append_node(g, Phase::backward, "average_pool", "after", {back}, one);
  return g;
}

std::vector<double> decoded(const std::string& backend, const Shape& shape, int64_t bits,
                            const std::vector<double>& src, const Key& k = {}, bool image = false) {
  const Graph g = through_groups(shape, bits, k.layer, image);
  ArenaRun run(g, backend);
  run.set(g.find("src"), src);
  run.set(g.find("counter"), {k.step, k.seed, k.sample_offset, 0});
  const Values values = run.run_steps();
  return values[static_cast<size_t>(g.nodes.back().outputs[0])];
}

std::vector<double> drawn(const Shape& shape, double low = -1, double high = 3) {
  const RandomStream random(5, 5);
  std::vector<double> values;
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const double u = random.uniform(static_cast<uint64_t>(i));
    values.push_back(static_cast<double>(static_cast<float>(low + (high - low) * u)));
  }
  return values;
}

double largest_error(const std::vector<double>& a, const std::vector<double>& b) {
  double error = 0;
  for (size_t i = 0; i < a.size(); ++i) error = std::max(error, std::abs(a[i] - b[i]));
  return error;
}

TEST(Quantize, TakesAQuarterAndAnEighthAndEightBytesForEachGroup) {
  const auto codes = [](const Shape& shape, int64_t bits) {
    const Graph g = through_groups(shape, bits, 0, false);
    return g.tensor(g.nodes[0].outputs[0]).shape;
  };
  EXPECT_EQ(codes({2, 64, 8, 8}, 8), (Shape{2, 16 * 264}));
  EXPECT_EQ(codes({2, 64, 8, 8}, 4), (Shape{2, 16 * 136}));
  EXPECT_EQ(codes({3, 257}, 8), (Shape{3, 2 * 264}));  // no group holds two samples
}

// Both signs move the codes until zero is one of them, which takes up to 1/14 of the levels.
TEST(Quantize, ErrsByLessThanOneStep) {
  for (const std::string& backend : backend_names()) {
    for (const auto& [low, high] : {std::pair{-1.0, 3.0}, {0.0, 4.0}, {2.0, 6.0}, {-6.0, -2.0}}) {
      const Shape shape = {3, 5, 37, 7};
      const auto src = drawn(shape, low, high);
      EXPECT_LE(largest_error(decoded(backend, shape, 8, src), src), 4.0 / 254);
      EXPECT_LE(largest_error(decoded(backend, shape, 4, src), src), 4.0 / 14);
      EXPECT_GT(largest_error(decoded(backend, shape, 4, src), src), 4.0 / 30);
    }
  }
}

TEST(Quantize, IsRightOnAverage) {
  const Shape shape = {1, 600};
  const auto src = drawn(shape);
  constexpr int kDraws = 400;
  for (const std::string& backend : backend_names()) {
    for (const int64_t bits : {8, 4}) {
      std::vector<double> sum(src.size());
      double variance = 0;  // of the sum of all means
      for (int draw = 0; draw < kDraws; ++draw) {
        const auto got = decoded(backend, shape, bits, src, {.step = static_cast<double>(draw)});
        for (size_t i = 0; i < got.size(); ++i) {
          sum[i] += got[i] / kDraws;
          variance += (got[i] - src[i]) * (got[i] - src[i]) / kDraws / kDraws;
        }
      }
      // A value half way between two codes deviates by half a step.
      const double sigma = 0.5 * (bits == 8 ? 4.0 / 254 : 4.0 / 14) / std::sqrt(kDraws);
      double all = 0;
      for (size_t i = 0; i < src.size(); ++i) {
        EXPECT_NEAR(sum[i], src[i], 4.5 * sigma) << i;
        all += sum[i] - src[i];
      }
      EXPECT_LT(std::abs(all), 3 * std::sqrt(variance)) << bits << " bits on " << backend;
    }
  }
}

TEST(Quantize, KeepsZeroAndGroupsOfOneValue) {
  for (const std::string& backend : backend_names()) {
    for (const int64_t bits : {8, 4}) {
      auto src = drawn({1, 512});
      for (size_t i = 0; i < src.size(); i += 3) src[i] = 0;
      const auto got = decoded(backend, {1, 512}, bits, src);
      for (size_t i = 0; i < src.size(); i += 3) EXPECT_EQ(got[i], 0);
      for (const double value : {0.0, 2.5, -1e-20, 3e20}) {
        const std::vector<double> same(300, static_cast<double>(static_cast<float>(value)));
        EXPECT_EQ(decoded(backend, {1, 300}, bits, same), same);
      }
    }
  }
}

// Channels that a blocked layout pads stay zero: ArenaRun looks.
TEST(Quantize, FollowsEveryLayout) {
  for (const std::string& backend : backend_names()) {
    for (const int64_t channels : {3, 24, 60, 64}) {
      const Shape shape = {2, channels, 6, 6};
      const auto src = drawn(shape);
      EXPECT_LE(largest_error(decoded(backend, shape, 8, src, {}, true), src), 4.0 / 254);
    }
  }
}

// The vector kernels contract products and sums: a value on the edge may round the other way.
TEST(Quantize, GivesTheSameCodesOnEveryBackend) {
  const Shape shape = {2, 3, 40, 40};
  const auto src = drawn(shape);
  for (const int64_t bits : {8, 4}) {
    const auto expected = decoded("portable", shape, bits, src);
    for (const std::string& backend : backend_names()) {
      const auto got = decoded(backend, shape, bits, src);
      int64_t others = 0;
      for (size_t i = 0; i < got.size(); ++i) others += std::abs(got[i] - expected[i]) > 1e-6;
      EXPECT_LE(others, 4) << "of " << got.size() << " on " << backend;
    }
  }
}

TEST(Quantize, DrawsOtherBitsForEachStepSeedLayerAndSample) {
  const Shape shape = {1, 512};
  const auto src = drawn(shape);
  for (const std::string& backend : backend_names()) {
    const auto with = [&](const Key& k) { return decoded(backend, shape, 8, src, k); };
    const auto first = with({});
    EXPECT_EQ(with({}), first);
    EXPECT_NE(with({.step = 4}), first);
    EXPECT_NE(with({.seed = 43}), first);
    EXPECT_NE(with({.sample_offset = 1}), first);
    EXPECT_NE(with({.layer = 8}), first);
  }
}

TEST(Quantize, DrawsTheSameBitsInMicrobatches) {
  const auto whole = drawn({3, 300});
  const std::vector<double> last(whole.begin() + 600, whole.end());
  const auto all = decoded("portable", {3, 300}, 8, whole);
  EXPECT_EQ(std::vector<double>(all.begin() + 600, all.end()),
            decoded("portable", {1, 300}, 8, last, {.sample_offset = 2}));
}

TEST(Quantize, NamesWhatDoesNotFit) {
  expect_user_error([] { through_groups({2, 3}, 5, 0, false); }, "bits must be 8 or 4, got 5");
}

}  // namespace
}  // namespace thimble
