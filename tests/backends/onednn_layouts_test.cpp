#include <gtest/gtest.h>

#include <algorithm>

#include "autodiff/differentiate.h"
#include "backends/nets.h"

// That the cases of the other files meet the layouts and kernels that they are about.

namespace thimble {
namespace {

Graph wide_net() {
  GraphBuilder b("net");
  TensorId x = b.images({2, 3, 6, 6});
  x = b.layer("conv2d", "a", {x}, conv(128, 3));
  x = b.layer("conv2d", "b", {x}, conv(28, 1, {kBias}));
  x = b.layer("batch_norm", "norm", {x});
  x = b.layer("conv2d", "c", {x}, depthwise(28, 3));
  x = b.layer("max_pool", "pool", {x}, {{"kernel", both(2)}, {"stride", both(2)}});
  b.layer("conv2d", "d", {x}, conv(256, 3));
  return b.graph();
}

Graph narrow_net(int64_t channels = 20) {
  GraphBuilder b("net");
  TensorId x = b.images({2, 3, 6, 6});
  x = b.layer("conv2d", "a", {x}, conv(channels, 3));
  x = b.layer("batch_norm", "norm", {x});
  b.layer("conv2d", "b", {x}, conv(channels, 3));
  return b.graph();
}

TEST(OneDnnLayouts, WideNetsAreBlockedAndPadTheirTails) {
  for (const char* map : {"a", "b", "norm", "c", "pool", "d"}) {
    EXPECT_EQ(layout_of(wide_net(), "onednn", map).tag.substr(0, 4), "nChw") << map;
  }
  EXPECT_FALSE(is_padded(wide_net(), "onednn", "a"));
  EXPECT_TRUE(is_padded(wide_net(), "onednn", "b"));
}

TEST(OneDnnLayouts, NetsThatWouldPadMuchAreChannelsLast) {
  EXPECT_EQ(layout_of(narrow_net(), "onednn", "a").tag, "nhwc");
  EXPECT_EQ(layout_of(narrow_net(), "onednn", "norm").tag, "nhwc");
  EXPECT_FALSE(is_padded(narrow_net(), "onednn", "a"));
}

TEST(OneDnnLayouts, WeightsThatAreNotPlainHaveATransfer) {
  const ArenaRun run(wide_net(), "onednn");
  const Schedule& s = run.schedule();
  for (size_t b = 0; b < s.buffers.size(); ++b) {
    const auto count =
        std::count_if(s.transfers.begin(), s.transfers.end(),
                      [&](const Transfer& t) { return t.buffer == static_cast<BufferId>(b); });
    EXPECT_EQ(count, s.buffers[b].persistent && s.buffers[b].layout.tag != kPlain)
        << s.buffers[b].name;
  }
  EXPECT_NE(layout_of(wide_net(), "onednn", "d.weight").tag, kPlain);
}

// Names the steps that fell back to the portable kernels.
std::string portable_steps(const Graph& forward, TensorId output) {
  Graph graph = forward;
  const TensorId seed = graph.add_tensor(
      {"seed", graph.tensor(output).shape, ElementType::f32, Role::data, {}, false});
  const ArenaRun run(differentiate(graph, {output}, {seed}, {}).graph, "onednn");
  std::string names;
  for (const Step& s : run.schedule().steps) {
    if (s.implementation == "portable") names += s.op + ' ' + s.name + '\n';
  }
  return names;
}

TEST(OneDnnKernels, ConvolutionNormalisationAndPoolingAreNeverPortable) {
  EXPECT_EQ(portable_steps(wide_net(), wide_net().find("d")), "");
  for (int64_t channels : {16, 20, 24, 3}) {
    EXPECT_EQ(portable_steps(narrow_net(channels), narrow_net(channels).find("b")), "") << channels;
  }
}

// Each layout change costs a pass over memory.
TEST(OneDnnKernels, NoMapIsReorderedBetweenConvolutions) {
  for (const Graph& graph : {wide_net(), narrow_net(32)}) {
    const ArenaRun run(graph, "onednn");
    for (const Step& s : run.schedule().steps) EXPECT_NE(s.op, "reorder") << s.name;
  }
}

}  // namespace
}  // namespace thimble
