#include <gtest/gtest.h>

#include <cmath>

#include "ops/core/builder.h"
#include "ops/core/signal_loss.h"
#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

constexpr int kSettings = 100;   // of each layer
constexpr double kNoise = 1e-5;  // of dst, deviation, as in the paper's figures 6 and 7
constexpr double kMostDb = 0.5;  // between theory and measurement

double power(const std::vector<double>& values) {
  double sum = 0;
  for (double x : values) sum += x * x;
  return sum;
}

std::vector<double> difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> d;
  for (size_t i = 0; i < a.size(); ++i) d.push_back(a[i] - b[i]);
  return d;
}

double snr_db(const std::vector<double>& signal, const std::vector<double>& noisy) {
  return 10 * std::log10(power(signal) / power(difference(noisy, signal)));
}

// Runs a layer, adds white noise to what it made, and takes that back through its inverse: what is
// lost of the ratio.
double measured_loss_db(const Graph& forward, const std::map<std::string, std::vector<double>>& set,
                        const RandomStream& random) {
  Interpreter<double> layer(forward);
  for (const auto& [name, values] : set) layer.set(forward.find(name), values);
  layer.run();
  const Node& node = forward.nodes[0];
  const Inverse inverse = find_op(node.op).inverse(forward, node, 0);
  EXPECT_TRUE(inverse.node) << inverse.refusal;
  const std::vector<double> dst = layer.get(node.outputs[0]);
  std::vector<double> noisy = dst;
  for (size_t i = 0; i < noisy.size(); ++i) noisy[i] += kNoise * random.normal(i);
  Graph back = forward;
  back.nodes.clear();
  const TensorId src = append_node(back, Phase::forward, inverse.node->op, "inverse",
                                   inverse.node->inputs, inverse.node->attributes)[0];
  Interpreter<double> run(back);
  for (TensorId t : inverse.node->inputs) {
    if (t != kNoTensor) run.set(t, t == node.outputs[0] ? noisy : layer.get(t));
  }
  run.run();
  return snr_db(dst, noisy) - snr_db(layer.get(node.inputs[0]), run.get(src));
}

// Equation 22 as corrected, and with a leaky ReLU behind it, for means, deviations, scales and
// shifts that differ from channel to channel.
TEST(SignalLoss, OfBatchNormIsAsTheTheorySays) {
  constexpr int64_t kChannels = 8, kExamples = 4, kSide = 32;
  double largest = 0;
  for (int setting = 0; setting < 2 * kSettings; ++setting) {  // without a leaky ReLU, and with
    SCOPED_TRACE(setting);
    const RandomStream random(static_cast<uint64_t>(setting), 3);
    const double slope = setting % 2 == 0 ? 1 : 0.05 + 0.9 * random.uniform(1000);
    const double floor = 0.1 * random.uniform(1001);
    GraphBuilder b("layer");
    b.layer("batch_norm", "norm", {b.images({kExamples, kChannels, kSide, kSide})},
            {{"activation", std::string(slope < 1 ? "leaky_relu" : "none")},
             {"slope", slope < 1 ? slope : 0.01},
             {"scale_floor", floor + 1e-9}});
    std::map<std::string, std::vector<double>> set;
    NormLoss theory;
    std::vector<double> mean, deviation;
    for (int64_t c = 0; c < kChannels; ++c) {
      const auto i = static_cast<uint64_t>(10 * c);
      mean.push_back(random.normal(i));
      deviation.push_back(0.1 + std::abs(1 + 0.5 * random.normal(i + 1)));
      const double gamma = 0.05 + std::abs(0.7 + 0.4 * random.normal(i + 2));
      set["norm.weight"].push_back(random.uniform(i + 3) < 0.5 ? gamma : -gamma);
      set["norm.bias"].push_back(0.5 * random.normal(i + 4));
      theory.add({.mean = mean.back(),
                  .variance = deviation.back() * deviation.back(),
                  .deviation = std::sqrt(deviation.back() * deviation.back() + 1e-5),
                  .scale = gamma + floor,
                  .shift = set["norm.bias"].back()},
                 slope);
    }
    const RandomStream pixels(static_cast<uint64_t>(setting), 4);
    for (int64_t i = 0; i < kExamples * kChannels * kSide * kSide; ++i) {
      const auto c = static_cast<size_t>(i / (kSide * kSide) % kChannels);
      set["images"].push_back(mean[c] + deviation[c] * pixels.normal(static_cast<uint64_t>(i)));
    }
    const double measured =
        measured_loss_db(b.graph(), set, RandomStream(static_cast<uint64_t>(setting), 5));
    largest = std::max(largest, std::abs(measured - theory.db()));
    EXPECT_NEAR(measured, theory.db(), kMostDb);
  }
  RecordProperty("largest_difference_db", std::to_string(largest));
}

// Equation 28.
TEST(SignalLoss, OfLeakyReluIsAsTheTheorySays) {
  double largest = 0;
  for (int setting = 0; setting < kSettings; ++setting) {
    SCOPED_TRACE(setting);
    const RandomStream random(static_cast<uint64_t>(setting), 6);
    const double slope = std::exp2(-6.5 * random.uniform(0));  // 1 to 0.01
    GraphBuilder b("layer");
    b.layer("leaky_relu", "act", {b.images({4, 8, 32, 32})}, {{"alpha", slope}});
    std::map<std::string, std::vector<double>> set;
    for (uint64_t i = 0; i < 4 * 8 * 32 * 32; ++i) set["images"].push_back(random.normal(i + 1));
    const double measured =
        measured_loss_db(b.graph(), set, RandomStream(static_cast<uint64_t>(setting), 7));
    largest = std::max(largest, std::abs(measured - leaky_loss_db(slope)));
    EXPECT_NEAR(measured, leaky_loss_db(slope), kMostDb) << "slope " << slope;
  }
  RecordProperty("largest_difference_db", std::to_string(largest));
}

TEST(SignalLoss, ReducesToTheKnownCases) {
  NormLoss centred;  // equation 19c: channels of scales 1 and rho, mean 0, deviation 1
  const double rho = 0.3;
  centred.add({.scale = 1}, 1);
  centred.add({.scale = rho}, 1);
  EXPECT_NEAR(centred.db(), -10 * std::log10(4 / ((1 + rho * rho) * (1 + 1 / (rho * rho)))), 1e-9);
  NormLoss activated;  // equation 28: alike channels, then a leaky ReLU
  activated.add({}, 0.2);
  activated.add({}, 0.2);
  EXPECT_NEAR(activated.db(), leaky_loss_db(0.2), 1e-9);
  EXPECT_NEAR(leaky_loss_db(0.2), 8.3, 0.05);  // REFERENCE.md's table, to a tenth
  EXPECT_NEAR(leaky_loss_db(0.5), 1.9, 0.05);
}

TEST(SignalToNoise, HoldsItsContract) {
  check_op("signal_to_noise", {{.inputs = {constant({2, 3, 5, 7}), constant({2, 3, 5, 7})}}});
  check_op("batch_norm_loss", {{.inputs = {constant({5}, uniform(0.5, 1)), constant({5}),
                                           constant({5}), constant({5}, uniform(0.5, 2))},
                                .attributes = {{"slope", 0.2}, {"scale_floor", 0.1}}}});
}

TEST(SignalToNoise, IsThePowersOfBoth) {
  EXPECT_EQ(run_op("signal_to_noise", {.inputs = {f32({3}, exactly({1, 2, -3})),
                                                  f32({3}, exactly({1, 2.5, -3.5}))}})[0],
            (std::vector<double>{14, 0.5}));
}

TEST(SignalToNoise, NamesWhatDoesNotFit) {
  expect_user_error(
      [] {
        op_graph("signal_to_noise", {.inputs = {f32({2, 3}), f32({3, 2})}});
      },
      "signal_to_noise: shapes (2, 3) and (3, 2) must be equal");
  expect_user_error(
      [] {
        op_graph("batch_norm_loss", {.inputs = {f32({2}), f32({2}), f32({3}), f32({2})}});
      },
      "batch_norm_loss: shapes (2) and (3) must be equal");
}

}  // namespace
}  // namespace thimble
