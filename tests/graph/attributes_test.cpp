#include "graph/attributes.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Attributes, CompareByValueWhateverTheOrder) {
  const Attributes a = {{"stride", int64_t{2}}, {"alpha", 0.5}};
  Attributes b = {{"alpha", 0.5}, {"stride", int64_t{2}}};
  EXPECT_EQ(a, b);
  b.set("alpha", 0.25);
  EXPECT_NE(a, b);
  b.set("alpha", 0.5);
  EXPECT_EQ(a, b);
}

TEST(Attributes, KnowWhatTheyHold) {
  const Attributes a = {{"text", std::string("same")}, {"list", std::vector<int64_t>{1, 2}}};
  EXPECT_TRUE(a.has("text"));
  EXPECT_FALSE(a.has("tex"));
  EXPECT_EQ(a.text("text"), "same");
  EXPECT_EQ(a.integers("list"), (std::vector<int64_t>{1, 2}));
}

TEST(Attributes, RefuseUnknownNamesAndOtherTypes) {
  const Attributes a = {{"stride", int64_t{2}}};
  expect_internal_error([&] { a.integer("kernel"); }, "no attribute 'kernel'");
  expect_internal_error([&] { a.real("stride"); },
                        "attribute 'stride' has another type than was asked for");
}

TEST(AttributeValue, PrintsListsInBrackets) {
  EXPECT_EQ(str_cat(AttributeValue(std::vector<int64_t>{1, -2})), "[1,-2]");
  EXPECT_EQ(str_cat(AttributeValue(int64_t{3})), "3");
  EXPECT_EQ(str_cat(AttributeValue(0.5)), "0.5");
  EXPECT_EQ(str_cat(AttributeValue(std::string("same"))), "same");
}

}  // namespace
}  // namespace thimble
