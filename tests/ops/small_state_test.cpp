#include "ops/core/small_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "ops/core/builder.h"
#include "support/arena_run.h"
#include "support/check_backends.h"
#include "support/distance.h"

namespace thimble {
namespace {

constexpr uint32_t kKey[2] = {0x1234567, 0x89ABCDE};

std::vector<float> drawn(int64_t count, bool is_signed, uint64_t seed = 1) {
  const RandomStream random(seed, 1);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const double x = random.normal(static_cast<uint64_t>(i));
    values.push_back(static_cast<float>(is_signed ? x : x * x * 1e-6));
  }
  return values;
}

std::vector<uint8_t> encoded(std::vector<float> values, bool is_signed, const uint32_t* key) {
  const auto count = static_cast<int64_t>(values.size());
  std::vector<uint8_t> state(static_cast<size_t>(small_state_bytes(count)), 0xFF);
  for (int64_t block = 0; block * kStateBlock < count; ++block) {
    const StateBlock b = StateBlock::of(state.data(), count, block);
    const float* from = values.data() + block * kStateBlock;
    is_signed ? encode_signed(b, from, key, 0) : encode_unsigned(b, from, key, 0);
  }
  return state;
}

std::vector<float> decoded(std::vector<uint8_t> state, int64_t count, bool is_signed) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t block = 0; block * kStateBlock < count; ++block) {
    const StateBlock b = StateBlock::of(state.data(), count, block);
    float* to = values.data() + block * kStateBlock;
    is_signed ? decode_signed(b, to) : decode_unsigned(b, to);
  }
  return values;
}

TEST(SmallState, TakesAByteForEachValueAndAFloatForEachBlock) {
  EXPECT_EQ(small_state_bytes(256), 260);
  EXPECT_EQ(small_state_bytes(1024), 1040);
  EXPECT_EQ(small_state_bytes(257), 260 + 8);
  EXPECT_EQ(small_state_bytes(3), 8);
}

// Files hold what was decoded; reading them must give back every byte.
TEST(SmallState, EncodesWhatItDecodedToTheSameBytes) {
  for (const bool is_signed : {true, false}) {
    for (const int64_t count : {1, 3, 256, 300, 5000}) {
      const auto state = encoded(drawn(count, is_signed), is_signed, kKey);
      EXPECT_EQ(encoded(decoded(state, count, is_signed), is_signed, nullptr), state) << count;
    }
  }
}

TEST(SmallState, KeepsZeroAndTheLargestAndWhatIsNoNumber) {
  auto values = drawn(256, true);
  values[7] = 0;
  values[9] = -50;
  auto got = decoded(encoded(values, true, kKey), 256, true);
  EXPECT_EQ(got[7], 0);
  EXPECT_EQ(got[9], -50);
  values[3] = std::nanf("");
  got = decoded(encoded(values, true, kKey), 256, true);
  EXPECT_TRUE(std::isnan(got[7]));
  const std::vector<float> zeros(300);
  EXPECT_EQ(decoded(encoded(zeros, false, kKey), 300, false), zeros);
}

TEST(SmallState, NeverRoundsASecondMomentToNothing) {
  std::vector<float> values(256, 1e-20f);
  values[0] = 1;
  const auto got = decoded(encoded(values, false, kKey), 256, false);
  for (float v : got) EXPECT_GT(v, 0);
}

// Codes stand closer near zero: a step is at most 2/127 (4/255) of the largest value.
TEST(SmallState, IsRightOnAverageAndErrsByLessThanOneStep) {
  for (const bool is_signed : {true, false}) {
    const auto values = drawn(256, is_signed);
    double largest = 0;
    for (float v : values) largest = std::max(largest, std::abs(static_cast<double>(v)));
    const double step = largest * (is_signed ? 2.0 / 127 : 4.0 / 255);
    std::vector<double> mean(values.size());
    double variance = 0, all = 0;
    constexpr int kDraws = 1000;
    for (uint32_t draw = 0; draw < kDraws; ++draw) {
      const uint32_t key[2] = {draw * 77, draw};
      const auto got = decoded(encoded(values, is_signed, key), 256, is_signed);
      for (size_t i = 0; i < got.size(); ++i) {
        const double error = static_cast<double>(got[i]) - static_cast<double>(values[i]);
        EXPECT_LE(std::abs(error), step);
        mean[i] += error / kDraws;
        variance += error * error / kDraws / kDraws;
      }
    }
    for (double m : mean) {
      EXPECT_LT(std::abs(m), 4.5 * 0.5 * step / std::sqrt(kDraws));
      all += m;
    }
    EXPECT_LT(std::abs(all), 3 * std::sqrt(variance));
  }
}

struct Trained {
  std::vector<double> weights;
  std::vector<std::vector<double>> states;
};

// `steps` of an optimizer from zero state, always with the same gradients.
Trained trained(const std::string& op, const std::string& backend, int steps,
                const Attributes& attributes) {
  const bool sgd = op.starts_with("sgd");
  const Shape shape = {3, 700};
  Graph g;
  g.name = "optimizer";
  const auto tensor = [&](const char* name, const Shape& s, ElementType type, Role role) {
    return g.add_tensor({name, s, type, role, {}, false});
  };
  std::vector<TensorId> inputs = {tensor("weights", shape, ElementType::f32, Role::weight),
                                  tensor("diff", shape, ElementType::f32, Role::data),
                                  tensor("lr", {1}, ElementType::f32, Role::data),
                                  tensor("counter", {4}, ElementType::i32, Role::data)};
  const size_t states = sgd ? 1 : 2;
  for (size_t i = 0; i < states; ++i) {
    inputs.push_back(tensor(i == 0 ? "first" : "second", shape, ElementType::f32, Role::optimizer));
  }
  append_node(g, Phase::update, op, "update", inputs, attributes);
  ArenaRun run(g, backend);
  const auto number = [](float x) { return static_cast<double>(x); };
  std::vector<double> weights, diff;
  for (float x : drawn(shape.elements(), true, 3)) weights.push_back(number(x));
  for (float x : drawn(shape.elements(), true, 4)) diff.push_back(number(x) * 0.1);
  run.set(inputs[0], weights);
  run.set(inputs[1], diff);
  run.set(inputs[2], {0.01});
  const std::vector<double> zeros(weights.size());
  for (size_t i = 0; i < states; ++i) run.set(inputs[kOptimizerStateInput + i], zeros);
  for (int step = 0; step < steps; ++step) {
    run.set(inputs[3], {static_cast<double>(step), 9, 0, 0});
    run.run();
  }
  Trained result{run.get(inputs[0]), {}};
  for (size_t i = 0; i < states; ++i) {
    result.states.push_back(run.get(inputs[kOptimizerStateInput + i]));
  }
  return result;
}

TEST(SmallState, StepsLikeTheFullOptimizer) {
  const std::pair<std::string, Attributes> cases[] = {
      {"sgd", {{"momentum", 0.9}, {"weight_decay", 0.01}}},
      {"sgd", {{"momentum", 0.9}, {"nesterov", int64_t{1}}}},
      {"adam", {{"weight_decay", 0.01}}},
      {"adamw", {}}};
  for (const auto& [op, attributes] : cases) {
    for (const std::string& backend : backend_names()) {
      SCOPED_TRACE(op + " on " + backend);
      // The first step reads no rounded state.
      const Trained full = trained(op, backend, 1, attributes);
      const Trained first = trained(op + "_small", backend, 1, attributes);
      expect_near(first.weights, full.weights, 1e-6, "weights");
      const Trained ten = trained(op, backend, 10, attributes);
      const Trained small = trained(op + "_small", backend, 10, attributes);
      EXPECT_LT(relative_distance(small.weights, ten.weights), 2e-3);
      for (size_t i = 0; i < ten.states.size(); ++i) {
        EXPECT_LT(relative_distance(small.states[i], ten.states[i]), 0.03);
        EXPECT_GT(relative_distance(small.states[i], ten.states[i]), 1e-4);
      }
    }
  }
}

}  // namespace
}  // namespace thimble
