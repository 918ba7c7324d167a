#pragma once

#include <concepts>
#include <functional>
#include <string>

#include "ops/core/gradient.h"

namespace thimble {

// What differs between activation functions. `F` is constructed from the node's attributes and has
//   T operator()(T x) const      the function
//   T slope(T saved) const       its derivative at the saved value
// each a template over the scalar; constrain T to real types where C++ has no complex version.
struct ActivationSpec {
  std::string name;
  std::string summary;
  std::vector<AttributeSpec> attributes = {};
  bool saves_output = false;  // the slope is a function of the output (ReLU): free to keep
  bool keeps_zero = true;     // f(0) = 0: it runs on every layout (OpDef::elementwise)
  std::function<Inverse(const Graph&, const Node&, size_t)> inverse = {};
  std::function<double(const Graph&, const Node&, const std::vector<double>&)> power = {};
  std::function<void(const Attributes&)> check = {};  // throws UserError on bad attributes
};

template <class F>
struct ActivationForward {
  template <class T>
  requires std::invocable<const F&, T>
  static void run(const OpCall& call) {
    const F f(call.attributes);
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dst[i] = f(src[i]);
    });
  }
};

template <class F>
struct ActivationBackward {
  template <class T>
  requires std::invocable<const F&, T>
  static void run(const OpCall& call) {
    const F f(call.attributes);
    const T* saved = call.in<T>(0);
    const T* diff_dst = call.in<T>(1);
    T* diff_src = call.out<T>(0);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) diff_src[i] = diff_dst[i] * f.slope(saved[i]);
    });
  }
};

// Defines `<name>` and `<name>_backward`.
template <class F>
void define_activation(OpTable& table, const ActivationSpec& spec) {
  OpDef forward;
  forward.name = spec.name;
  forward.summary = spec.summary;
  forward.attributes = spec.attributes;
  forward.inputs = {{"src"}};
  forward.outputs = {{"dst"}};
  forward.infer = [check = spec.check](const OpShapes& s) {
    if (check) check(s.attributes);
    return std::vector<TensorSpec>{{s.inputs[0]}};
  };
  forward.saves = [output = spec.saves_output](const OpShapes&) {
    return output ? Saves{{}, {0}} : Saves{{0}, {}};
  };
  forward.gradient = [name = spec.name, output = spec.saves_output](GradientBuilder& g) {
    const TensorId saved = output ? g.output(0) : g.input(0);
    g.set_diff_input(0, g.emit(name + "_backward", {saved, g.diff_output()}, g.attributes())[0]);
  };
  forward.in_place = {{0, 0}};
  forward.inverse = spec.inverse;
  forward.power = spec.power;
  forward.elementwise = spec.keeps_zero;
  forward.spatial = [](const Attributes&) {
    return Spatial{Spatial::Kind::pointwise, {}, {}, {}, {}};
  };
  forward.kernels = portable_kernels<ActivationForward<F>>();
  table.add(forward);

  OpDef backward;
  backward.name = spec.name + "_backward";
  backward.summary = "gradient of " + spec.name;
  backward.attributes = spec.attributes;
  backward.inputs = {{spec.saves_output ? "dst" : "src"}, {"diff_dst"}};
  backward.outputs = {{"diff_src"}};
  backward.infer = [](const OpShapes& s) { return std::vector<TensorSpec>{{s.inputs[1]}}; };
  backward.in_place = {{1, 0}, {0, 0}};
  backward.elementwise = true;
  backward.kernels = portable_kernels<ActivationBackward<F>>();
  table.add(backward);
}

}  // namespace thimble
