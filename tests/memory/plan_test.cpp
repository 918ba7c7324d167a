#include "memory/plan.h"

#include <gtest/gtest.h>

#include "memory/check.h"
#include "memory/schedules.h"

namespace thimble {
namespace {

constexpr InPlacePair kFirstOverFirst = {0, 0};

TEST(LiveRange, IsHalfOpen) {
  EXPECT_FALSE(overlaps({0, 2}, {2, 4}));
  EXPECT_FALSE(overlaps({2, 4}, {0, 2}));
  EXPECT_TRUE(overlaps({0, 3}, {2, 4}));
  EXPECT_TRUE(overlaps({1, 2}, {0, 4}));
  EXPECT_FALSE(overlaps({1, 1}, {1, 1}));
}

TEST(PlanMemory, LivesFromItsFirstWriterToBehindItsLastReader) {
  ScheduleMaker m;
  const BufferId data = m.buffer("data", 4, true);
  const BufferId a = m.buffer("a", 64), b = m.buffer("b", 64), c = m.buffer("c", 64);
  m.step({data}, {a});
  m.step({a}, {b});
  m.step({b}, {c});
  m.step({a, c}, {data});
  MemoryPlan plan = m.plan();
  EXPECT_EQ(block_of(plan, data).range, (LiveRange{0, 4}));
  EXPECT_EQ(block_of(plan, a).range, (LiveRange{0, 4}));
  EXPECT_EQ(block_of(plan, b).range, (LiveRange{1, 3}));
  EXPECT_EQ(block_of(plan, c).range, (LiveRange{2, 4}));
  EXPECT_EQ(plan.persistent_bytes, 64);
  EXPECT_EQ(plan.lower_bound_bytes, 64 + 3 * 64);
  EXPECT_EQ(plan.peak_step, 2);
}

TEST(PlanMemory, AnOutputThatNobodyReadsLivesForItsStep) {
  ScheduleMaker m;
  const BufferId a = m.buffer("a", 64), b = m.buffer("b", 64);
  m.step({}, {a});
  m.step({}, {b});
  MemoryPlan plan = m.plan();
  EXPECT_EQ(block_of(plan, a).range, (LiveRange{0, 1}));
  EXPECT_EQ(block_of(plan, b).range, (LiveRange{1, 2}));
  EXPECT_EQ(plan.arena_bytes, 64);
}

TEST(PlanMemory, RoundsBlocksUpToCacheLines) {
  ScheduleMaker m;
  const BufferId weights = m.buffer("weights", 65, true);
  const BufferId a = m.buffer("a", 1), b = m.buffer("b", 63);
  m.step({weights}, {a, b}, {}, 130);
  MemoryPlan plan = m.plan();
  EXPECT_EQ(plan.persistent_bytes, 128);
  EXPECT_EQ(plan.arena_bytes, 128 + 64 + 64 + 192);
  for (const Block& block : plan.blocks) EXPECT_EQ(block.offset % 64, 0);
}

TEST(PlanMemory, ScratchLivesForItsStep) {
  ScheduleMaker m;
  const BufferId a = m.buffer("a", 64), b = m.buffer("b", 64);
  m.step({}, {a}, {}, 640);
  m.step({a}, {b}, {}, 64);
  const MemoryPlan plan = m.plan();
  EXPECT_EQ(plan.arena_bytes, 64 + 640);
  EXPECT_EQ(bytes_at_step(plan, 0)[static_cast<size_t>(Category::scratchpad)], 640);
  EXPECT_EQ(bytes_at_step(plan, 1)[static_cast<size_t>(Category::scratchpad)], 64);
  EXPECT_EQ(plan.block_of_scratch.size(), 2);
}

TEST(PlanMemory, AnOutputTakesTheBytesOfAnInputThatEndsThere) {
  ScheduleMaker m;
  const BufferId a = m.buffer("a", 64), b = m.buffer("b", 64), c = m.buffer("c", 64);
  m.step({}, {a});
  m.step({a}, {b}, {kFirstOverFirst});
  m.step({b}, {c}, {kFirstOverFirst});
  MemoryPlan plan = m.plan();
  EXPECT_EQ(plan.arena_bytes, 64);
  EXPECT_EQ(plan.block_of_buffer, (std::vector<int32_t>{0, 0, 0}));
  EXPECT_EQ(plan.blocks[0].range, (LiveRange{0, 3}));
  EXPECT_EQ(name_of_block(m.schedule(), plan, 0), "a, then b, then c");
  EXPECT_EQ(largest_at_step(m.schedule(), plan, 1, 1).at(0).name, "b");
}

TEST(PlanMemory, WithoutAPairInputAndOutputStandApart) {
  ScheduleMaker m;
  const BufferId a = m.buffer("a", 64), b = m.buffer("b", 64);
  m.step({}, {a});
  m.step({a}, {b});
  EXPECT_EQ(m.plan().arena_bytes, 128);
}

TEST(PlanMemory, NothingIsInPlaceWhenTheInputIsReadLater) {
  ScheduleMaker m;
  const BufferId a = m.buffer("a", 64), b = m.buffer("b", 64), c = m.buffer("c", 64);
  m.step({}, {a});
  m.step({a}, {b}, {kFirstOverFirst});
  m.step({a, b}, {c});
  const MemoryPlan plan = m.plan();
  EXPECT_NE(plan.block_of_buffer[0], plan.block_of_buffer[1]);
  EXPECT_EQ(plan.arena_bytes, 192);
}

TEST(PlanMemory, NothingIsInPlaceOverAPersistentTensor) {
  ScheduleMaker m;
  const BufferId weights = m.buffer("weights", 64, true);
  const BufferId a = m.buffer("a", 64);
  m.step({weights}, {a}, {kFirstOverFirst});
  EXPECT_EQ(m.plan().arena_bytes, 128);
}

TEST(PlanMemory, NothingIsInPlaceWhenSizesDiffer) {
  ScheduleMaker m;
  const BufferId a = m.buffer("a", 128), b = m.buffer("b", 64);
  m.step({}, {a});
  m.step({a}, {b}, {kFirstOverFirst});
  EXPECT_EQ(m.plan().arena_bytes, 192);
}

TEST(PlanMemory, OneInputIsGivenToOneOutput) {
  ScheduleMaker m;
  const BufferId a = m.buffer("a", 64), b = m.buffer("b", 64), c = m.buffer("c", 64);
  m.step({}, {a});
  m.step({a}, {b, c}, {{0, 0}, {0, 1}});
  m.step({b, c}, {});
  const MemoryPlan plan = m.plan();
  EXPECT_EQ(plan.block_of_buffer[0], plan.block_of_buffer[1]);
  EXPECT_NE(plan.block_of_buffer[1], plan.block_of_buffer[2]);
  EXPECT_EQ(plan.arena_bytes, 128);
}

// relu(x) + x: the addition may take either input, but the first relu may not take x.
TEST(PlanMemory, TheSecondPairServesWhenTheFirstCannot) {
  ScheduleMaker m;
  const BufferId x = m.buffer("x", 64), y = m.buffer("y", 64), sum = m.buffer("sum", 64);
  const BufferId end = m.buffer("end", 64);
  m.step({}, {x});
  m.step({x}, {y}, {kFirstOverFirst});
  m.step({x, y}, {sum}, {{0, 0}, {1, 0}});
  m.step({x, sum}, {end});
  const MemoryPlan plan = m.plan();
  EXPECT_NE(plan.block_of_buffer[0], plan.block_of_buffer[1]);
  EXPECT_EQ(plan.block_of_buffer[1], plan.block_of_buffer[2]);
}

// The same tensor twice as input: taking it over by one port still overwrites the other.
TEST(PlanMemory, ATensorReadTwiceByOneStepIsTakenAtMostOnce) {
  ScheduleMaker m;
  const BufferId x = m.buffer("x", 64), y = m.buffer("y", 64), z = m.buffer("z", 64);
  m.step({}, {x});
  m.step({x, x}, {y, z}, {{0, 0}, {1, 1}});
  m.step({y, z}, {});
  const MemoryPlan plan = m.plan();
  EXPECT_NE(plan.block_of_buffer[1], plan.block_of_buffer[2]);
  EXPECT_EQ(find_faults(m.schedule(), plan), std::vector<std::string>{});
}

TEST(PlanMemory, CategoriesAtAStepAreTheLiveBlocks) {
  ScheduleMaker m;
  const BufferId w = m.buffer("w", 100, true, Category::weights);
  const BufferId batch = m.buffer("batch", 60, true, Category::data);
  const BufferId kept = m.buffer("kept", 300, false, Category::saved);
  const BufferId t = m.buffer("t", 10);
  m.step({batch, w}, {kept}, {}, 70);
  m.step({kept}, {t});
  m.step({kept, t}, {w});
  const MemoryPlan plan = m.plan();
  EXPECT_EQ(bytes_at_step(plan, 0), (std::array<int64_t, kCategories>{128, 0, 0, 320, 0, 128, 64}));
  EXPECT_EQ(bytes_at_step(plan, 2), (std::array<int64_t, kCategories>{128, 0, 0, 320, 64, 0, 64}));
  EXPECT_EQ(plan.lower_bound_bytes, 128 + 64 + 320 + 128);
  EXPECT_EQ(plan.peak_step, 0);
  const std::vector<Block> largest = largest_at_step(m.schedule(), plan, 0, 2);
  ASSERT_EQ(largest.size(), 2);
  EXPECT_EQ(largest[0].name, "kept");
  EXPECT_EQ(largest[1].bytes, 128);
}

TEST(PlacePersistent, SharesTensorsOfTheSameNameAndAddsReservations) {
  ScheduleMaker train, evaluate;
  train.buffer("w", 65, true);
  train.buffer("t", 65);
  train.buffer("momentum", 65, true);
  evaluate.buffer("w", 65, true);
  evaluate.buffer("only here", 1, true);
  const auto placed =
      place_persistent({&train.schedule(), &evaluate.schedule()}, {{"loader", 10, Category::data}});
  const auto offset = [&](const std::string& name) {
    for (const PersistentBlock& p : placed) {
      if (p.name == name) return p.offset;
    }
    return int64_t{-1};
  };
  ASSERT_EQ(placed.size(), 4);
  EXPECT_EQ(offset("w"), 0);
  EXPECT_EQ(offset("momentum"), 128);
  EXPECT_EQ(offset("only here"), 256);
  EXPECT_EQ(offset("loader"), 320);
  const MemoryPlan plan = plan_memory(evaluate.schedule(), placed);
  EXPECT_EQ(plan.persistent_bytes, 384);  // it shares the arena with what it does not touch
  EXPECT_EQ(plan.block_of_buffer[0], 0);
}

}  // namespace
}  // namespace thimble
