#pragma once

#include <cmath>

#include "base/random.h"
#include "ops/core/adam_step.h"
#include "ops/core/small_state.h"

namespace thimble {

// Rounding is drawn from (seed, step, layer), so that a resumed run draws the same.
inline void set_key(uint32_t key[2], const int32_t* counter, const Attributes& a) {
  const auto word = [&](int i) { return static_cast<uint32_t>(counter[i]); };
  const auto bits = philox({static_cast<uint32_t>(a.integer("layer")), 0, 0, word(0)},
                           {word(1), 0x73746174});  // apart from other users of the seed
  key[0] = bits[0];
  key[1] = bits[1];
}

// What a step reads beside its tensors; addresses and `count` come from the caller.
inline SmallSgd small_sgd_args(const Attributes& a, float lr, const int32_t* counter) {
  SmallSgd args;
  args.lr = lr;
  args.keep = static_cast<float>(a.real("momentum"));
  args.decay = static_cast<float>(a.real("weight_decay"));
  args.nesterov = a.integer("nesterov") != 0;
  set_key(args.key, counter, a);
  return args;
}

inline SmallAdam small_adam_args(const Attributes& a, bool decoupled, float lr,
                                 const int32_t* counter) {
  const AdamFactors f = adam_factors(a, decoupled, static_cast<double>(lr), counter[0]);
  const auto number = [](double x) { return static_cast<float>(x); };
  SmallAdam args;
  args.keep1 = number(f.keep1);
  args.take1 = number(f.take1);
  args.keep2 = number(f.keep2);
  args.take2 = number(f.take2);
  args.shrink = number(f.shrink);
  args.decay = number(f.decay);
  args.step_size = number(f.step_size);
  args.root_correction = number(f.root_correction);
  args.epsilon = number(f.epsilon);
  set_key(args.key, counter, a);
  return args;
}

}  // namespace thimble
