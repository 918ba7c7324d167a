#include <gtest/gtest.h>

#include "ops/core/builder.h"

namespace thimble {
namespace {

TEST(PageOut, LeavesANumberInsteadOfTheTensor) {
  Graph graph;
  const TensorId x = graph.add_tensor({"x", {2, 3, 5}, ElementType::u8, Role::data, {}, false});
  const TensorId page = append_node(graph, Phase::forward, "page_out", "x", {x})[0];
  const TensorId there = append_node(graph, Phase::forward, "page_out_end", "x", {x, page})[0];
  for (const TensorId t : {page, there}) {
    EXPECT_EQ(graph.tensor(t).shape, Shape{1});
    EXPECT_EQ(graph.tensor(t).type, ElementType::i32);
  }
}

TEST(PageOut, PagesAndDoesNothingElse) {
  for (const char* op : {"page_out", "page_out_end", "page_in", "page_in_end"}) {
    EXPECT_NE(find_op(op).paging, Paging::none) << op;
  }
  int paging = 0;
  for (const OpDef& op : op_table().all()) paging += op.paging != Paging::none;
  EXPECT_EQ(paging, 4);
}

}  // namespace
}  // namespace thimble
