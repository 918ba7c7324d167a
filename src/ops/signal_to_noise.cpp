#include <concepts>

#include "ops/core/op.h"
#include "ops/core/signal_loss.h"
#include "ops/core/text.h"

// What `thimble reversibility` measures beside a step: how far rebuilt tensors are from the kept
// ones, and what the layers' weights would have predicted.

namespace thimble {
namespace {

struct SignalToNoise {
  template <class T>
  requires std::floating_point<T>
  static void run(const OpCall& call) {
    const T* kept = call.in<T>(0);
    const T* rebuilt = call.in<T>(1);
    double signal = 0, noise = 0;
    for (int64_t i = 0; i < call.in_shape(0).elements(); ++i) {
      const double value = kept[i];
      const double error = rebuilt[i] - value;
      signal += value * value;
      noise += error * error;
    }
    call.out<T>(0)[0] = static_cast<T>(signal);
    call.out<T>(0)[1] = static_cast<T>(noise);
  }
};

struct BatchNormLoss {
  template <class T>
  requires std::floating_point<T>
  static void run(const OpCall& call) {
    const double floor = call.attributes.real("scale_floor");
    const double epsilon = call.attributes.real("epsilon");
    const bool running = call.attributes.integer("training") == 0;
    NormLoss loss;
    for (int64_t i = 0; i < call.in_shape(0).elements(); ++i) {
      const double spread = call.in<T>(3)[i];
      const double variance = running ? spread : 1 / (spread * spread) - epsilon;
      loss.add({.mean = call.in<T>(2)[i],
                .variance = variance,
                .deviation = std::sqrt(variance + epsilon),
                .scale = std::abs(static_cast<double>(call.in<T>(0)[i])) + floor,
                .shift = call.in<T>(1)[i]},
               call.attributes.real("slope"));
    }
    call.out<T>(0)[0] = static_cast<T>(loss.db());
  }
};

}  // namespace

void define_signal_to_noise(OpTable& table) {
  OpDef ratio;
  ratio.name = "signal_to_noise";
  ratio.summary = "the powers of a tensor, and of how far another is from it";
  ratio.inputs = {{"kept"}, {"rebuilt"}};
  ratio.outputs = {{"powers"}};
  ratio.infer = [](const OpShapes& s) {
    require(s.inputs[0] == s.inputs[1], "signal_to_noise: shapes ", s.inputs[0], " and ",
            s.inputs[1], " must be equal");
    return std::vector<TensorSpec>{{Shape{2}, ElementType::f32}};
  };
  ratio.flops = [](const OpShapes& s) { return 5 * s.inputs[0].elements(); };
  ratio.kernels = portable_kernels<SignalToNoise>();
  table.add(ratio);

  OpDef loss;
  loss.name = "batch_norm_loss";
  loss.summary = "by how many dB the inverse of a batch norm is predicted to lose, of its weights";
  loss.attributes = {{"training", int64_t{1}, "1: mean and inv_std of the batch; 0: running_var"},
                     {"scale_floor", 0.0, "of the batch norm"},
                     {"epsilon", 1e-5, "of the batch norm"},
                     {"slope", 1.0, "of the leaky ReLU behind it; 1: none"}};
  loss.inputs = {{"gamma"}, {"beta"}, {"mean"}, {"spread"}};
  loss.outputs = {{"loss_db"}};
  loss.infer = [](const OpShapes& s) {
    for (const Shape& shape : s.inputs) {
      require(shape == s.inputs[0], "batch_norm_loss: shapes ", s.inputs[0], " and ", shape,
              " must be equal");
    }
    return std::vector<TensorSpec>{{Shape{1}, ElementType::f32}};
  };
  loss.kernels = portable_kernels<BatchNormLoss>();
  table.add(loss);
}

}  // namespace thimble
