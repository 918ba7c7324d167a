#include <gtest/gtest.h>

#include "backends/nets.h"
#include "support/check_op.h"
#include "support/sanitizers.h"

// Ops that have vector kernels of their own, at sizes that leave every kind of tail, and large
// enough for several threads.

namespace thimble {
namespace {

const std::vector<int64_t> kSizes = {1, 7, 8, 9, 15, 16, 17, 31, 33, 100003};

TEST(BackendElementwise, SgdAgreesAtEverySize) {
  for (int64_t n : kSizes) {
    for (double decay : {0.0, 0.125}) {
      if (kSanitized && decay == 0) continue;
      SCOPED_TRACE(str_cat(n, " weights"));
      const std::vector<TestInput> inputs = {constant({n}), constant({n}),
                                             constant({1}, uniform(0.1, 1))};
      check_op("sgd", {{.inputs = inputs, .attributes = {{"weight_decay", decay}}},
                       {.inputs = inputs,
                        .attributes = {{"weight_decay", decay}, {"nesterov", int64_t{1}}}}});
    }
  }
}

TEST(BackendElementwise, AddAgreesAtEverySize) {
  for (int64_t n : kSizes) {
    SCOPED_TRACE(str_cat(n, " elements"));
    GraphBuilder b("net");
    const TensorId x = b.images({1, n});
    check_net(b.graph(), b.layer("add", "sum", {x, b.layer("silu", "act", {x})}));
  }
}

}  // namespace
}  // namespace thimble
