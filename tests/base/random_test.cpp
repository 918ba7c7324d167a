#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/expect_error.h"

namespace thimble {
namespace {

// Random123, tests/kat_vectors, "philox4x32 10".
TEST(Philox, GivesTheReferenceVectors) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, DrawsAreNumberedBySeedStreamAndIndex) {
  EXPECT_EQ(RandomStream(0, 0).bits(0), 0x6627e8d5e169c58du);
  const RandomStream stream(7, 3);
  EXPECT_EQ(stream.bits(5), RandomStream(7, 3).bits(5));
  EXPECT_NE(stream.bits(5), stream.bits(6));
  EXPECT_NE(stream.bits(5), RandomStream(7, 4).bits(5));
  EXPECT_NE(stream.bits(5), RandomStream(8, 3).bits(5));
  // The high words count too.
  EXPECT_NE(stream.bits(5), stream.bits(5 + (uint64_t{1} << 32)));
  EXPECT_NE(stream.bits(5), RandomStream(7, 3 + (uint64_t{1} << 32)).bits(5));
  EXPECT_NE(stream.bits(5), RandomStream(7 + (uint64_t{1} << 32), 3).bits(5));
}

struct Moments {
  double mean = 0, variance = 0;
};

template <class DrawOne>
Moments moments(const DrawOne& draw, uint64_t count) {
  double sum = 0, squares = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const double x = draw(i);
    sum += x;
    squares += x * x;
  }
  const double mean = sum / static_cast<double>(count);
  return {mean, squares / static_cast<double>(count) - mean * mean};
}

TEST(RandomStream, UniformFillsTheUnitInterval) {
  const RandomStream stream(1, 0);
  double low = 1, high = 0;
  const Moments m = moments(
      [&](uint64_t i) {
        const double x = stream.uniform(i);
        low = std::min(low, x);
        high = std::max(high, x);
        return x;
      },
      100000);
  EXPECT_GE(low, 0);
  EXPECT_LT(low, 1e-3);
  EXPECT_LT(high, 1);
  EXPECT_GT(high, 1 - 1e-3);
  EXPECT_NEAR(m.mean, 0.5, 0.005);
  EXPECT_NEAR(m.variance, 1.0 / 12, 0.002);
}

TEST(RandomStream, NormalHasMeanZeroAndVarianceOne) {
  const RandomStream stream(1, 0);
  const Moments m = moments([&](uint64_t i) { return stream.normal(i); }, 100000);
  EXPECT_NEAR(m.mean, 0, 0.02);
  EXPECT_NEAR(m.variance, 1, 0.02);
}

TEST(RandomStream, BelowReachesEveryNumberUnderTheBound) {
  const RandomStream stream(1, 0);
  std::vector<int> seen(7);
  for (uint64_t i = 0; i < 7000; ++i) ++seen.at(static_cast<size_t>(stream.below(i, 7)));
  for (int times : seen) EXPECT_NEAR(times, 1000, 150);
}

TEST(Permutation, VisitsEachIndexOnce) {
  for (int64_t size : {1, 2, 3, 4, 5, 15, 16, 17, 1000, 4097}) {
    const Permutation order(size, 11, 2);
    std::vector<int> visits(static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i) ++visits.at(static_cast<size_t>(order.permuted(i)));
    EXPECT_EQ(visits, std::vector<int>(static_cast<size_t>(size), 1)) << "size " << size;
  }
}

int64_t fixed_points(const Permutation& order, const Permutation& other, int64_t size) {
  int64_t same = 0;
  for (int64_t i = 0; i < size; ++i) same += order.permuted(i) == other.permuted(i);
  return same;
}

TEST(Permutation, SeedAndStreamGiveOtherOrders) {
  const Permutation order(1000, 11, 2);
  EXPECT_EQ(fixed_points(order, Permutation(1000, 11, 2), 1000), 1000);
  EXPECT_LT(fixed_points(order, Permutation(1000, 12, 2), 1000), 10);
  EXPECT_LT(fixed_points(order, Permutation(1000, 11, 3), 1000), 10);
}

TEST(Permutation, NeedsAnElement) {
  expect_internal_error([] { Permutation(0, 1, 1); }, "a permutation needs at least one element");
}

}  // namespace
}  // namespace thimble
