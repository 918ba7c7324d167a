#include "ops/core/adam_step.h"

namespace thimble {

void define_adam(OpTable& table) {
  define_adam_step<false>(table, "adam", "Adam with L2 weight decay",
                          {"weight_decay", 0.0, "added to the gradient, times the weight"});
}

}  // namespace thimble
