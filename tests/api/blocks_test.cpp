#include <gtest/gtest.h>

#include "models/hidden_network.h"
#include "runtime/fixtures.h"
#include "runtime/network_file.h"
#include "thimble/thimble.h"

namespace thimble {
namespace {

using cli_test::TempDir;

TrainOptions options_in(const TempDir& dir, const std::string& trained) {
  const Network network = hidden_network({1, 28, 28});
  TrainOptions options;
  options.model.name = dir / "small.thimble";
  options.model.batch = 4;
  options.model.train = trained;
  options.threads = 1;
  write_network(options.model.name, network, [weights = drawn(network)](const NetworkParameter& p) {
    return weights.at(p.name).data();
  });
  return options;
}

TEST(BlockProfile, HasStemBlocksAndHead) {
  const TempDir dir;
  const Profile found = profile(options_in(dir, "all"));
  std::vector<std::string> names;
  for (const BlockProfile& b : found.blocks) names.push_back(b.name);
  EXPECT_EQ(names, (std::vector<std::string>{"stem", "a", "b", "c", "head"}));
  EXPECT_FALSE(found.blocks[0].is_block);
  EXPECT_TRUE(found.blocks[1].is_block);
  EXPECT_EQ(found.blocks[2].temporary_bytes, (4 + 8) * 14 * 14 * 4);
  EXPECT_EQ(found.planned_examples, 4);
}

TEST(BlockProfile, OfTheWholeIsTheMostOfEachBlock) {
  const TempDir dir;
  const Profile found = profile(options_in(dir, "all"));
  BlockProfile most;
  for (const BlockProfile& b : found.blocks) {
    most.temporary_bytes = std::max(most.temporary_bytes, b.temporary_bytes);
    most.peak_bytes = std::max(most.peak_bytes, b.peak_bytes);
    most.planned_peak_bytes = std::max(most.planned_peak_bytes, b.planned_peak_bytes);
    EXPECT_LE(b.planned_peak_bytes,
              b.planned_temporary_bytes + found.all_blocks.planned_cumulative_bytes);
  }
  EXPECT_EQ(found.all_blocks.temporary_bytes, most.temporary_bytes);
  EXPECT_EQ(found.all_blocks.peak_bytes, most.peak_bytes);
  EXPECT_EQ(found.all_blocks.cumulative_bytes, found.blocks.back().cumulative_bytes);
  EXPECT_EQ(found.all_blocks.planned_peak_bytes, most.planned_peak_bytes);
}

// The zoo's own options make the network, and not what stands beside it.
TEST(BlockProfile, OfTheZooWithANetworkBesideItHasNoOtherBlocks) {
  TrainOptions options;
  options.model.name = "mobilenet_v2";
  options.model.width = 0.25;
  options.model.batch = 2;
  options.model.height = options.model.width_px = 64;
  options.threads = 1;
  const Profile alone = profile(options);
  options.model.side = "rep-net";
  options.model.train = "side,head";
  const Profile beside = profile(options);
  ASSERT_EQ(beside.blocks.size(), 19u);
  for (size_t b = 0; b < beside.blocks.size(); ++b) {
    EXPECT_EQ(beside.blocks[b].name, alone.blocks[b].name);
  }
  EXPECT_LT(beside.all_blocks.cumulative_bytes, alone.all_blocks.cumulative_bytes / 10);
  EXPECT_TRUE(beside.blocks[2].sensitive);
  EXPECT_FALSE(alone.blocks[2].sensitive);
}

// The arena holds them, and nothing waits for a backward pass that only the head has.
TEST(BlockProfile, OfThePlanIsInItsArena) {
  const TempDir dir;
  const TrainOptions all = options_in(dir, "all");
  EXPECT_LT(profile(all).all_blocks.planned_peak_bytes, plan(all).arena_bytes);
  const TrainOptions head = options_in(dir, "head");
  const Profile found = profile(head);
  for (const BlockProfile& b : found.blocks) {
    if (b.is_block) {
      EXPECT_EQ(b.planned_cumulative_bytes, 0) << b.name;
    }
  }
  EXPECT_GT(profile(all).all_blocks.planned_cumulative_bytes,
            10 * found.all_blocks.planned_cumulative_bytes);
}

}  // namespace
}  // namespace thimble
