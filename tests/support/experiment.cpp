#include "support/experiment.h"

namespace thimble {
namespace {

constexpr double kComplexStep = 1e-30;
constexpr double kCentralStep = 1e-5;

size_t at(TensorId t) { return static_cast<size_t>(t); }

template <class T>
T weighted_sum(const Experiment& e, Interpreter<T>& interpreter) {
  interpreter.run();
  T sum(0);
  for (size_t k = 0; k < e.outputs.size(); ++k) {
    const auto output = interpreter.scalars(e.outputs[k]);
    for (size_t i = 0; i < output.size(); ++i) {
      sum += e.seeds[k] == kNoTensor ? output[i] : output[i] * e.values[at(e.seeds[k])][i];
    }
  }
  return sum;
}

}  // namespace

std::vector<double> draw_values(const Graph& graph, TensorId id, const Draw& draw, uint64_t seed) {
  const RandomStream random(seed, static_cast<uint64_t>(id));
  const int64_t count = graph.tensor(id).shape.elements();
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<double>(static_cast<float>(draw(random, i, count))));
  }
  return values;
}

void add_seed(Experiment& e, TensorId output) {
  e.outputs.push_back(output);
  e.seeds.push_back(e.graph.add_tensor(
      {"seed", e.graph.tensor(output).shape, ElementType::f32, Role::data, {}, false}));
}

Differentiated differentiate(const Experiment& e, const std::vector<TensorId>& wanted) {
  if (wanted.empty()) {
    return {e.graph, std::vector<TensorId>(e.graph.tensors.size(), kNoTensor)};
  }
  return differentiate(e.graph, e.outputs, e.seeds, wanted);
}

Values gradients(const Experiment& e, const std::vector<TensorId>& wanted) {
  const Differentiated d = differentiate(e, wanted);
  Interpreter<double> interpreter(d.graph);
  interpreter.set(e.values);
  interpreter.run();
  Values all(e.graph.tensors.size());
  for (TensorId t : wanted) {
    all[at(t)] = d.diffs[at(t)] == kNoTensor ? std::vector<double>(interpreter.scalars(t).size())
                                             : interpreter.get(d.diffs[at(t)]);
  }
  return all;
}

std::vector<double> complex_step(const Experiment& e, TensorId t) {
  std::vector<double> gradient;
  Interpreter<std::complex<double>> interpreter(e.graph);
  for (size_t i = 0; i < e.values[at(t)].size(); ++i) {
    interpreter.set(e.values);
    interpreter.scalars(t)[i] += std::complex<double>(0, kComplexStep);
    gradient.push_back(weighted_sum(e, interpreter).imag() / kComplexStep);
  }
  return gradient;
}

std::vector<double> central_difference(const Experiment& e, TensorId t) {
  std::vector<double> gradient;
  Interpreter<double> interpreter(e.graph);
  const auto moved = [&](size_t i, double step) {
    interpreter.set(e.values);
    interpreter.scalars(t)[i] += step;
    return weighted_sum(e, interpreter);
  };
  for (size_t i = 0; i < e.values[at(t)].size(); ++i) {
    gradient.push_back((moved(i, kCentralStep) - moved(i, -kCentralStep)) / (2 * kCentralStep));
  }
  return gradient;
}

}  // namespace thimble
