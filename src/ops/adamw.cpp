#include "ops/core/adam_step.h"

namespace thimble {

void define_adamw(OpTable& table) {
  define_adam_step<true>(table, "adamw", "Adam with decoupled weight decay",
                         {"weight_decay", 0.01, "shrinks the weight, times the learning rate"});
}

}  // namespace thimble
