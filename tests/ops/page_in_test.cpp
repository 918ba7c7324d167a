#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/arena_run.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

// A convolution's output goes to the file and comes back; 19 channels, which blocks would pad.
TEST(PageIn, BringsTheTensorBackAsItLay) {
  std::vector<double> values(2 * 16 * 9 * 9), weights(19 * 16 * 3 * 3);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 17) - 8;
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i % 5) / 4;
  for (const ElementType type : {ElementType::f32, ElementType::bf16}) {
    Graph plain;
    plain.name = "paging";
    const TensorId x = plain.add_tensor({"x", {2, 16, 9, 9}, type, Role::data, {}, false});
    const TensorId w =
        plain.add_tensor({"w", {19, 16, 3, 3}, ElementType::f32, Role::weight, {}, false});
    const TensorId y = append_node(plain, Phase::forward, "conv2d", "layer", {x, w},
                                   {{"out_channels", int64_t{19}}, {"kernel", both(3)}})[0];
    plain.tensor(y).type = type;
    Graph paged = plain;
    const Attributes page = {{"page", int64_t{2}}};
    const auto node = [&](const char* op, const std::vector<TensorId>& in, const Attributes& a) {
      return append_node(paged, Phase::forward, op, "layer", in, a)[0];
    };
    Attributes typed = page;
    typed.set("type", std::string(name_of(type)));
    Attributes shaped = typed;
    shaped.set("shape", ints({2, 19, 7, 7}));
    const TensorId leaving = node("page_out", {y}, page);
    const TensorId there = node("page_out_end", {y, leaving}, page);
    const TensorId arriving = node("page_in", {there}, shaped);
    const TensorId back = node("page_in_end", {arriving}, typed);
    EXPECT_EQ(paged.tensor(back).type, type);
    for (const std::string& backend : backend_names()) {
      const auto result = [&](const Graph& graph, TensorId t) {
        ArenaRun run(graph, backend);
        run.set(x, values);
        run.set(w, weights);
        run.run();
        return run.get(t);
      };
      EXPECT_TRUE(result(paged, back) == result(plain, y)) << backend;
      ArenaRun run(paged, backend);
      const Schedule& s = run.schedule();
      EXPECT_EQ(s.buffer(back).layout, s.buffer(y).layout) << backend;
      EXPECT_EQ(s.paged_bytes(), s.buffer(y).bytes) << backend;
      EXPECT_EQ(run.executor().address(back), run.executor().address(arriving)) << backend;
    }
  }
}

TEST(PageIn, SaysWhatItNeeds) {
  Graph graph;
  const TensorId page = graph.add_tensor({"p", {1}, ElementType::i32, Role::data, {}, false});
  const auto append = [&](const Attributes& a) {
    append_node(graph, Phase::backward, "page_in", "x", {page}, a);
  };
  expect_user_error([&] { append({}); }, "page_in: shape takes 1 to");
  expect_user_error(
      [&] {
        append({{"shape", ints({3})}, {"type", std::string("f16")}});
      },
      "type must be f32, bf16, i32 or u8, got f16");
}

}  // namespace
}  // namespace thimble
