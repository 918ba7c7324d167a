#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Gelu, HoldsItsContract) {
  const Attributes tanh = {{"approximate", std::string("tanh")}};
  check_op("gelu", {{.inputs = {f32({2, 3, 5, 7}, uniform(-4, 4))}},
                    {.inputs = {f32({3, 4}, uniform(-4, 4))}, .attributes = tanh},
                    {.inputs = {f32({1})}}});
}

// In Python: 0.5*x*(1+math.erf(x/math.sqrt(2))), and
// 0.5*x*(1+math.tanh(math.sqrt(2/math.pi)*(x+0.044715*x**3))).
TEST(Gelu, AgreesWithItsDefinitions) {
  const TestInput src = f32({2}, exactly({1, -2}));
  const auto exact = run_op("gelu", {.inputs = {src}})[0];
  EXPECT_NEAR(exact[0], 0.8413447460685429, 1e-15);
  EXPECT_NEAR(exact[1], -0.04550026389635842, 1e-15);
  const auto tanh =
      run_op("gelu", {.inputs = {src}, .attributes = {{"approximate", std::string("tanh")}}})[0];
  EXPECT_NEAR(tanh[0], 0.8411919906082768, 1e-15);
  EXPECT_NEAR(tanh[1], -0.04540230591222494, 1e-15);
}

TEST(Gelu, SavesItsInput) { EXPECT_EQ(saved_by("gelu", {.inputs = {f32({4})}}), "src"); }

TEST(Gelu, NamesTheApproximationsItKnows) {
  expect_user_error(
      [] {
        op_graph("gelu",
                 {.inputs = {f32({4})}, .attributes = {{"approximate", std::string("fast")}}});
      },
      "gelu: approximate must be 'none' or 'tanh', got 'fast'");
}

}  // namespace
}  // namespace thimble
