#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "ops/core/op.h"

namespace thimble {

// What a step number makes of the settings.
struct AdamFactors {
  double keep1, take1, keep2, take2, shrink, decay, step_size, root_correction, epsilon;
};

inline AdamFactors adam_factors(const Attributes& a, bool decoupled, double lr, int32_t step) {
  const double t = step + 1.0;  // steps are counted from zero
  const double beta1 = a.real("beta1");
  const double beta2 = a.real("beta2");
  const double decay = a.real("weight_decay");
  return {.keep1 = beta1,
          .take1 = 1 - beta1,
          .keep2 = beta2,
          .take2 = 1 - beta2,
          .shrink = decoupled ? 1 - lr * decay : 1.0,
          .decay = decoupled ? 0.0 : decay,
          .step_size = lr / (1 - std::pow(beta1, t)),
          .root_correction = std::sqrt(1 - std::pow(beta2, t)),
          .epsilon = a.real("epsilon")};
}

// One step of Adam (arXiv 1412.6980) as PyTorch takes it, in one pass over memory. Weight decay is
// added to the gradient, or shrinks the weights first when `kDecoupled` (AdamW, arXiv 1711.05101).
template <bool kDecoupled>
struct AdamStep {
  template <class T>
  struct Factors {
    T keep1, take1, keep2, take2, shrink, decay, step_size, root_correction, epsilon;
  };

  template <class T>
  static void run(const OpCall& call) {
    const auto lr = static_cast<double>(branch_value(call.in<T>(2)[0]));
    const AdamFactors f = adam_factors(call.attributes, kDecoupled, lr, call.in<int32_t>(3)[0]);
    const Factors<T> factors = {.keep1 = T(f.keep1),
                                .take1 = T(f.take1),
                                .keep2 = T(f.keep2),
                                .take2 = T(f.take2),
                                .shrink = T(f.shrink),
                                .decay = T(f.decay),
                                .step_size = T(f.step_size),
                                .root_correction = T(f.root_correction),
                                .epsilon = T(f.epsilon)};
    const T* diff = call.in<T>(1);
    T* weights = call.out<T>(0);
    T* exp_avg = call.out<T>(1);
    T* exp_avg_sq = call.out<T>(2);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      update(factors, diff + begin, weights + begin, exp_avg + begin, exp_avg_sq + begin,
             end - begin);
    });
  }

  // Factors come by value: the compiler then knows that no store changes them.
  template <class T>
  static void update(Factors<T> f, const T* diff, T* weights, T* exp_avg, T* exp_avg_sq,
                     int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const T g = diff[i] + f.decay * weights[i];
      exp_avg[i] = f.keep1 * exp_avg[i] + f.take1 * g;
      exp_avg_sq[i] = f.keep2 * exp_avg_sq[i] + f.take2 * g * g;
      const T root = std::sqrt(exp_avg_sq[i]) / f.root_correction;
      weights[i] = f.shrink * weights[i] - f.step_size * exp_avg[i] / (root + f.epsilon);
    }
  }
};

inline std::vector<TensorSpec> infer_adam(const std::string& op, const OpShapes& s) {
  const auto fraction = [&](const char* name) {
    const double value = s.attributes.real(name);
    require(value >= 0 && value < 1, op, ": ", name, " must be in [0, 1), got ", value);
  };
  fraction("beta1");
  fraction("beta2");
  // Zero would divide zero by zero where a weight has no gradient yet.
  require(s.attributes.real("epsilon") > 0, op, ": epsilon must be positive, got ",
          s.attributes.real("epsilon"));
  require(s.inputs[0] == s.inputs[1], op, ": weights ", s.inputs[0], " and gradient ", s.inputs[1],
          " must have one shape");
  require(s.inputs[2] == Shape{1} && s.inputs[3] == Shape{4}, op,
          ": lr must be (1) and counter (4), got ", s.inputs[2], " and ", s.inputs[3]);
  require(s.inputs[4] == s.inputs[0] && s.inputs[5] == s.inputs[0], op, ": weights ", s.inputs[0],
          " need exp_avg and exp_avg_sq of the same shape, got ", s.inputs[4], " and ",
          s.inputs[5]);
  return {};
}

inline std::vector<AttributeSpec> adam_attributes(const AttributeSpec& weight_decay) {
  return {{"beta1", 0.9, "share of the old mean of gradients"},
          {"beta2", 0.999, "share of the old mean of squared gradients"},
          {"epsilon", 1e-8, "added to the root, against division by zero"},
          weight_decay};
}

template <bool kDecoupled>
void define_adam_step(OpTable& table, const std::string& name, const std::string& summary,
                      const AttributeSpec& weight_decay) {
  OpDef def;
  def.name = name;
  def.summary = summary;
  def.attributes = adam_attributes(weight_decay);
  def.inputs = {{"weights"}, {"diff_weights"}, {"lr"}, {"counter"}, {"exp_avg"}, {"exp_avg_sq"}};
  def.infer = [name](const OpShapes& s) { return infer_adam(name, s); };
  def.parameters = [](const OpShapes& s) {
    constexpr size_t kFirst = kOptimizerStateInput;
    return std::vector<Parameter>{{kFirst, "exp_avg", s.inputs[0], {}, Role::optimizer},
                                  {kFirst + 1, "exp_avg_sq", s.inputs[0], {}, Role::optimizer}};
  };
  def.updates = [](const OpShapes&) {
    return std::vector<size_t>{0, kOptimizerStateInput, kOptimizerStateInput + 1};
  };
  def.flops = [](const OpShapes& s) { return 14 * s.inputs[0].elements(); };
  def.elementwise = true;
  def.kernels = portable_kernels<AdamStep<kDecoupled>>();
  table.add(def);
}

}  // namespace thimble
