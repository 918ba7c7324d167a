#include "memory/place.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace thimble {
namespace {

struct Ask {
  LiveRange range;
  int64_t bytes;
};

std::vector<Block> blocks_of(const std::vector<Ask>& asks) {
  std::vector<Block> blocks;
  for (const Ask& a : asks) {
    Block b;
    b.name = std::to_string(blocks.size());
    b.range = a.range;
    b.bytes = a.bytes;
    blocks.push_back(b);
  }
  return blocks;
}

int64_t placed(const std::vector<Ask>& asks) {
  std::vector<Block> blocks = blocks_of(asks);
  return place_blocks(blocks);
}

void expect_apart(const std::vector<Block>& blocks, int64_t arena_bytes) {
  int64_t top = 0;
  for (size_t a = 0; a < blocks.size(); ++a) {
    EXPECT_GE(blocks[a].offset, 0);
    top = std::max(top, blocks[a].offset + blocks[a].bytes);
    for (size_t b = 0; b < a; ++b) {
      if (!overlaps(blocks[a].range, blocks[b].range)) continue;
      EXPECT_TRUE(blocks[a].offset + blocks[a].bytes <= blocks[b].offset ||
                  blocks[b].offset + blocks[b].bytes <= blocks[a].offset)
          << a << " and " << b << " share bytes";
    }
  }
  EXPECT_EQ(top, arena_bytes);
}

TEST(LowerBound, IsTheLargestSumOfLiveBytes) {
  const LowerBound bound =
      lower_bound(blocks_of({{{0, 2}, 64}, {{1, 3}, 128}, {{2, 4}, 192}, {{3, 4}, 64}}));
  EXPECT_EQ(bound.bytes, 320);
  EXPECT_EQ(bound.step, 2);
}

TEST(LowerBound, OfNothingIsZero) { EXPECT_EQ(lower_bound({}).bytes, 0); }

TEST(PlaceBlocks, NothingTakesNothing) { EXPECT_EQ(placed({}), 0); }

TEST(PlaceBlocks, BlocksThatFollowEachOtherShareBytes) {
  EXPECT_EQ(placed({{{0, 1}, 64}, {{1, 2}, 128}, {{2, 3}, 64}}), 128);
}

TEST(PlaceBlocks, BlocksThatMeetStandApart) {
  EXPECT_EQ(placed({{{0, 2}, 64}, {{1, 3}, 128}, {{2, 4}, 64}}), 192);
}

// Saved tensors of a chain: what forward writes first, backward reads last.
TEST(PlaceBlocks, NestedBlocksLeaveNoGap) {
  std::vector<Ask> asks;
  int64_t sum = 0;
  for (int32_t i = 0; i < 40; ++i) {
    asks.push_back({{i, 80 - i}, 64 * (1 + (i * 7) % 11)});
    sum += asks.back().bytes;
  }
  EXPECT_EQ(placed(asks), sum);
}

// The same, with two temporaries a step on both ways.
TEST(PlaceBlocks, NestedBlocksWithTemporariesReachTheLowerBound) {
  std::vector<Ask> asks;
  for (int32_t i = 0; i < 40; ++i) {
    const int64_t bytes = 64 * (1 + (i * 7) % 11);
    asks.push_back({{i, 80 - i}, bytes});
    asks.push_back({{i, i + 1}, 3 * bytes});
    asks.push_back({{79 - i, 81 - i}, 2 * bytes});
  }
  EXPECT_EQ(placed(asks), lower_bound(blocks_of(asks)).bytes);
}

// None of the five starting orders packs this in less than 512 bytes.
TEST(PlaceBlocks, FindsAPackingThatEveryStartingOrderMisses) {
  const std::vector<Ask> asks = {
      {{4, 8}, 128}, {{5, 6}, 256}, {{1, 4}, 64}, {{1, 5}, 128}, {{3, 4}, 256}};
  EXPECT_EQ(lower_bound(blocks_of(asks)).bytes, 448);
  EXPECT_EQ(placed(asks), 448);
}

// Every packing, pushed down, is first fit in the order of its offsets: all orders find the best.
int64_t best_of_all_orders(const std::vector<Ask>& asks) {
  std::vector<size_t> order(asks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  int64_t best = INT64_MAX;
  do {
    std::vector<int64_t> offsets(asks.size(), -1);
    int64_t top = 0;
    for (size_t b : order) {
      int64_t offset = 0;
      bool moved = true;
      while (moved) {
        moved = false;
        for (size_t n = 0; n < asks.size(); ++n) {
          if (offsets[n] < 0 || !overlaps(asks[n].range, asks[b].range)) continue;
          const int64_t end = offsets[n] + asks[n].bytes;
          if (offset < end && offsets[n] < offset + asks[b].bytes) {
            offset = end;
            moved = true;
          }
        }
      }
      offsets[b] = offset;
      top = std::max(top, offset + asks[b].bytes);
    }
    best = std::min(best, top);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

std::vector<Ask> random_asks(uint64_t seed, int64_t count, int64_t times, int64_t longest,
                             int64_t largest) {
  const RandomStream random(seed, 0);
  std::vector<Ask> asks;
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<uint64_t>(3 * i);
    const auto first = static_cast<int32_t>(random.below(at, times));
    const auto length = static_cast<int32_t>(1 + random.below(at + 1, longest));
    asks.push_back({{first, first + length}, 64 * (1 + random.below(at + 2, largest))});
  }
  return asks;
}

TEST(PlaceBlocks, FindsTheBestPackingOfSixBlocks) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const std::vector<Ask> asks = random_asks(seed, 6, 6, 4, 4);
    EXPECT_EQ(placed(asks), best_of_all_orders(asks)) << "seed " << seed;
  }
}

TEST(PlaceBlocks, IsDeterministicAndValidOnRandomBlocks) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const std::vector<Ask> asks =
        random_asks(seed, 1 + static_cast<int64_t>(seed) % 40, 30, 12, 20);
    std::vector<Block> blocks = blocks_of(asks);
    const int64_t bytes = place_blocks(blocks);
    expect_apart(blocks, bytes);
    EXPECT_GE(bytes, lower_bound(blocks).bytes);
    EXPECT_LE(static_cast<double>(bytes), 1.12 * static_cast<double>(lower_bound(blocks).bytes))
        << "seed " << seed;
    std::vector<Block> again = blocks_of(asks);
    place_blocks(again);
    for (size_t b = 0; b < blocks.size(); ++b) ASSERT_EQ(again[b].offset, blocks[b].offset);
  }
}

TEST(PlaceBlocks, TakesBlocksInAnyOrder) {
  std::vector<Ask> asks;
  for (int32_t i = 0; i < 20; ++i) asks.push_back({{i, 40 - i}, 64 * (1 + i % 5)});
  const int64_t bound = lower_bound(blocks_of(asks)).bytes;
  std::reverse(asks.begin(), asks.end());
  EXPECT_EQ(placed(asks), bound);
}

}  // namespace
}  // namespace thimble
