#include "ops/core/op.h"

namespace thimble {
namespace {

// One pass over memory. With momentum, as PyTorch: m = momentum*m + (g + decay*w),
// w -= lr * m; Nesterov: w -= lr * (g + decay*w + momentum*m).
struct Sgd {
  template <class T>
  static void run(const OpCall& call) {
    const T* diff = call.in<T>(1);
    const T lr = call.in<T>(2)[0];
    const T momentum = T(call.attributes.real("momentum"));
    const T decay = T(call.attributes.real("weight_decay"));
    const bool nesterov = call.attributes.integer("nesterov") != 0;
    T* weights = call.out<T>(0);
    T* velocity = call.out<T>(1);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      if (velocity == nullptr) {
        for (int64_t i = begin; i < end; ++i) weights[i] -= lr * (diff[i] + decay * weights[i]);
      } else if (nesterov) {
        for (int64_t i = begin; i < end; ++i) {
          const T g = diff[i] + decay * weights[i];
          velocity[i] = momentum * velocity[i] + g;
          weights[i] -= lr * (g + momentum * velocity[i]);
        }
      } else {
        for (int64_t i = begin; i < end; ++i) {
          velocity[i] = momentum * velocity[i] + (diff[i] + decay * weights[i]);
          weights[i] -= lr * velocity[i];
        }
      }
    });
  }
};

// The step of momentum SGD in three: m = momentum*m + decay*w; then m += g for each part of the
// gradient; then w -= lr*m.
struct Begin {
  template <class T>
  static void run(const OpCall& call) {
    const T* weights = call.in<T>(0);
    const T momentum = T(call.attributes.real("momentum"));
    const T decay = T(call.attributes.real("weight_decay"));
    T* velocity = call.out<T>(0);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        velocity[i] = momentum * velocity[i] + decay * weights[i];
      }
    });
  }
};

struct Finish {
  template <class T>
  static void run(const OpCall& call) {
    const T* velocity = call.in<T>(1);
    const T lr = call.in<T>(2)[0];
    T* weights = call.out<T>(0);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) weights[i] -= lr * velocity[i];
    });
  }
};

std::vector<AttributeSpec> attribute_specs() {
  return {{"momentum", 0.9, "0 keeps no velocity"},
          {"nesterov", int64_t{0}, "1: look ahead by one momentum step"},
          {"weight_decay", 0.0, "added to the gradient, times the weight"}};
}

OpDef part(const std::string& name, const std::string& summary, size_t updated) {
  OpDef def;
  def.name = name;
  def.summary = summary;
  def.attributes = attribute_specs();
  def.inputs = {{"weights"}, {"momentum"}, {"lr", true}};
  def.infer = [name](const OpShapes& s) {
    require(s.inputs[0] == s.inputs[1], name, ": weights ", s.inputs[0], " and momentum ",
            s.inputs[1], " must have one shape");
    return std::vector<TensorSpec>{};
  };
  def.updates = [updated](const OpShapes&) { return std::vector<size_t>{updated}; };
  def.flops = [](const OpShapes& s) { return 3 * s.inputs[0].elements(); };
  def.elementwise = true;
  return def;
}

}  // namespace

void define_sgd(OpTable& table) {
  OpDef def;
  def.name = "sgd";
  def.summary = "stochastic gradient descent with momentum, Nesterov and L2 weight decay";
  def.attributes = attribute_specs();
  def.inputs = {{"weights"}, {"diff_weights"}, {"lr"}, {"counter", true}, {"momentum", true}};
  def.infer = [](const OpShapes& s) {
    require(s.inputs[0] == s.inputs[1], "sgd: weights ", s.inputs[0], " and gradient ", s.inputs[1],
            " must have one shape");
    return std::vector<TensorSpec>{};
  };
  def.parameters = [](const OpShapes& s) {
    if (s.attributes.real("momentum") == 0) return std::vector<Parameter>{};
    return std::vector<Parameter>{
        {kOptimizerStateInput, "momentum", s.inputs[0], {}, Role::optimizer}};
  };
  def.updates = [](const OpShapes& s) {
    return s.has(kOptimizerStateInput) ? std::vector<size_t>{0, kOptimizerStateInput}
                                       : std::vector<size_t>{0};
  };
  def.flops = [](const OpShapes& s) { return 4 * s.inputs[0].elements(); };
  def.elementwise = true;
  def.kernels = portable_kernels<Sgd>();
  def.accumulating = [](const Attributes& a) -> std::optional<AccumulatingOptimizer> {
    if (a.real("momentum") == 0 || a.integer("nesterov") != 0) return std::nullopt;
    return AccumulatingOptimizer{"sgd_begin", "sgd_finish"};
  };
  table.add(def);

  OpDef begin = part("sgd_begin", "momentum and weight decay, before gradients are added", 1);
  begin.kernels = portable_kernels<Begin>();
  table.add(begin);
  OpDef finish = part("sgd_finish", "moves weights by the momentum", 0);
  finish.kernels = portable_kernels<Finish>();
  table.add(finish);
}

}  // namespace thimble
