#include "support/check_op.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "autodiff/differentiate.h"
#include "ops/core/builder.h"
#include "support/check_backends.h"
#include "support/experiment.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

// Two gradients by the same kernels in double, with other outputs asked for.
constexpr double kSameKernelTolerance = 1e-12;

// An input in double, there and back.
constexpr double kInverseTolerance = 1e-11;

size_t at(TensorId t) { return static_cast<size_t>(t); }

Draw draw_of_parameter(const Tensor& t) {
  if (t.type != ElementType::f32) return integers(0, 1000);
  if (t.role == Role::optimizer) return uniform(0, 1);  // second moments are not negative
  if (t.init.kind == Init::Kind::zeros) return uniform(-0.5, 0.5);
  if (t.init.kind == Init::Kind::constant) return uniform(t.init.value - 0.5, t.init.value + 0.5);
  return uniform(-1, 1);
}

Values values_of(const Graph& graph, const OpCase& c) {
  Values values(graph.tensors.size());
  std::vector<Draw> draws;
  for (const Tensor& t : graph.tensors) draws.push_back(draw_of_parameter(t));
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const TensorId t = graph.find(str_cat("in", i));
    if (t != kNoTensor) draws[at(t)] = c.inputs[i].draw;
  }
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    const auto id = static_cast<TensorId>(t);
    if (is_persistent(graph.tensor(id).role)) {
      values[t] = draw_values(graph, id, draws[t], c.seed);
    }
  }
  return values;
}

std::vector<TensorId> wanted_of(const Graph& graph, const OpCase& c) {
  std::vector<TensorId> wanted;
  const std::vector<TensorId>& inputs = graph.nodes[0].inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == kNoTensor || graph.tensor(inputs[i]).type != ElementType::f32) continue;
    const bool given = i < c.inputs.size() && c.inputs[i].shape.rank() > 0;
    if (given ? c.inputs[i].wanted : graph.tensor(inputs[i]).role == Role::weight) {
      wanted.push_back(inputs[i]);
    }
  }
  return wanted;
}

Experiment set_up(const std::string& op, const OpCase& c) {
  Experiment e;
  e.graph = op_graph(op, c);
  for (Tensor& t : e.graph.tensors) t.trainable = false;  // `wanted` alone decides
  if (find_op(op).gradient) {
    for (size_t k : c.seeded) {
      const TensorId output = e.graph.nodes[0].outputs.at(k);
      ensure(output != kNoTensor, op, " does not make output ", k);
      for (int part = 0; part < c.seed_parts; ++part) add_seed(e, output);
      if (c.is_loss) e.seeds.back() = kNoTensor;
    }
    e.wanted = wanted_of(e.graph, c);
  }
  e.values = values_of(e.graph, c);
  return e;
}

void check_gradients(const std::string& op, const Experiment& e, const OpCase& c) {
  const bool complex = c.complex_step && find_op(op).kernels.c128 != nullptr;
  const Values got = gradients(e, e.wanted);
  for (TensorId t : e.wanted) {
    expect_near(got[at(t)], complex ? complex_step(e, t) : central_difference(e, t),
                c.gradient_tolerance, "gradient of " + e.graph.tensor(t).name);
  }
}

void check_subsets(const Experiment& e) {
  const Values full = gradients(e, e.wanted);
  for (uint64_t bits = 1; bits + 1 < uint64_t{1} << e.wanted.size(); ++bits) {
    std::vector<TensorId> subset;
    for (size_t i = 0; i < e.wanted.size(); ++i) {
      if (bits >> i & 1) subset.push_back(e.wanted[i]);
    }
    const Values some = gradients(e, subset);
    for (TensorId t : subset) {
      expect_near(some[at(t)], full[at(t)], kSameKernelTolerance,
                  str_cat("with ", subset.size(), " of ", e.wanted.size(),
                          " gradients wanted, that of ", e.graph.tensor(t).name));
    }
  }
}

template <class T>
bool same_bytes(const Interpreter<T>& a, const Interpreter<T>& b, TensorId t) {
  return std::ranges::equal(a.bytes(t), b.bytes(t));
}

// What a kernel does not write keeps the fill, which differs between the two runs.
template <class T>
void check_all_written(const Graph& graph, const Values& values) {
  Interpreter<T> ones(graph, std::byte{0xFF}), other(graph, std::byte{0x5A});
  for (Interpreter<T>* interpreter : {&ones, &other}) {
    interpreter->set(values);
    interpreter->run();
  }
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    EXPECT_TRUE(same_bytes(ones, other, static_cast<TensorId>(t)))
        << graph.tensors[t].name << " depends on what was in memory before";
  }
}

void check_f32(const Graph& graph, const Values& values, double tolerance) {
  Interpreter<float> single(graph);
  Interpreter<double> reference(graph);
  single.set(values);
  reference.set(values);
  single.run();
  reference.run();
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    const auto id = static_cast<TensorId>(t);
    const bool exact = graph.tensors[t].type != ElementType::f32;
    expect_near(single.get(id), reference.get(id), exact ? 0 : tolerance,
                "f32 against f64: " + graph.tensors[t].name);
  }
}

// A pair stands for where both have as many elements: a factor may be one for each plane.
bool alike(const Graph& graph, TensorId in, TensorId out) {
  return graph.tensor(in).shape.elements() == graph.tensor(out).shape.elements();
}

// Pairs that can hold at once: no input and no output twice.
bool compatible(std::span<const InPlacePair> pairs) {
  std::set<size_t> inputs, outputs;
  return std::all_of(pairs.begin(), pairs.end(), [&](const InPlacePair& p) {
    return inputs.insert(p.input).second && outputs.insert(p.output).second;
  });
}

void check_in_place(const Graph& graph, const Values& values, size_t n) {
  const Node& node = graph.nodes[n];
  std::vector<InPlacePair> possible;
  for (const InPlacePair& p : find_op(node.op).in_place) {
    if (p.input < node.inputs.size() && node.inputs[p.input] != kNoTensor &&
        p.output < node.outputs.size() && node.outputs[p.output] != kNoTensor &&
        alike(graph, node.inputs[p.input], node.outputs[p.output])) {
      possible.push_back(p);
    }
  }
  Interpreter<float> apart(graph);
  apart.set(values);
  apart.run(0, n + 1);
  for (uint64_t bits = 1; bits < uint64_t{1} << possible.size(); ++bits) {
    std::vector<InPlacePair> pairs;
    for (size_t i = 0; i < possible.size(); ++i) {
      if (bits >> i & 1) pairs.push_back(possible[i]);
    }
    if (!compatible(pairs)) continue;
    Interpreter<float> together(graph);
    together.set(values);
    together.run(0, n);
    together.run_in_place(n, pairs);
    for (TensorId t : node.outputs) {
      EXPECT_TRUE(t == kNoTensor || same_bytes(apart, together, t))
          << node.op << " gives another " << graph.tensor(t).name << " when input "
          << pairs[0].input << " is overwritten (" << pairs.size() << " in-place pairs)";
    }
  }
}

void check_saves(const Experiment& e, const Differentiated& d) {
  const Node& node = d.graph.nodes[0];
  const Saves saves = saves_of(d.graph, node);
  std::set<TensorId> saved;
  for (size_t i : saves.inputs) saved.insert(node.inputs.at(i));
  for (size_t i : saves.outputs) saved.insert(node.outputs.at(i));
  Interpreter<double> whole(d.graph), poisoned(d.graph);
  whole.set(e.values);
  whole.run();
  poisoned.set(e.values);
  poisoned.run(0, 1);
  for (const auto* list : {&node.inputs, &node.outputs}) {
    for (TensorId t : *list) {
      if (t != kNoTensor && saved.count(t) == 0) poisoned.poison(t);
    }
  }
  poisoned.run(1, d.graph.nodes.size());
  for (TensorId t : e.wanted) {
    const TensorId diff = d.diffs[at(t)];
    EXPECT_TRUE(diff == kNoTensor || same_bytes(whole, poisoned, diff))
        << "the gradient of " << e.graph.tensor(t).name << " reads what is not saved";
  }
}

// Runs `node` alone from `values` and returns what it writes.
Values run_alone(const Graph& graph, const Node& node, const Values& values) {
  Graph alone = graph;
  alone.nodes = {node};
  Interpreter<double> interpreter(alone);
  interpreter.set(values);
  interpreter.run();
  Values written;
  for (const auto* list : {&node.outputs, &node.updates}) {
    for (TensorId t : *list) {
      if (t != kNoTensor) written.push_back(interpreter.get(t));
    }
  }
  return written;
}

void check_elementwise(const Graph& graph, const Values& values, const Node& node) {
  const Shape shape = graph.tensor(node.outputs.empty() ? node.updates[0] : node.outputs[0]).shape;
  const Permutation order(shape.elements(), 1, 0);
  const auto permuted = [&](const std::vector<double>& v) {
    std::vector<double> result(v.size());
    for (size_t i = 0; i < v.size(); ++i) {
      result[i] = v[static_cast<size_t>(order.permuted(static_cast<int64_t>(i)))];
    }
    return result;
  };
  Values shuffled = values, zeros = values;
  for (TensorId t : node.inputs) {
    if (t == kNoTensor || graph.tensor(t).shape != shape) continue;
    shuffled[at(t)] = permuted(values[at(t)]);
    zeros[at(t)].assign(zeros[at(t)].size(), 0.0);
  }
  const Values plain = run_alone(graph, node, values);
  const Values moved = run_alone(graph, node, shuffled);
  const Values zero = run_alone(graph, node, zeros);
  for (size_t k = 0; k < plain.size(); ++k) {
    ASSERT_EQ(plain[k].size(), static_cast<size_t>(shape.elements()))
        << node.op << " is elementwise, but its output " << k << " has another shape";
    EXPECT_EQ(moved[k], permuted(plain[k]))
        << node.op << " is not elementwise: output " << k << " depends on the order of elements";
    EXPECT_EQ(zero[k], std::vector<double>(zero[k].size(), 0.0))
        << node.op << " does not give zero for zero";
  }
}

void check_nodes(const Experiment& e, const Graph& graph) {
  Interpreter<double> interpreter(graph);
  interpreter.set(e.values);
  interpreter.run();
  Values after = interpreter.get();
  for (size_t t = 0; t < e.values.size(); ++t) {
    if (!e.values[t].empty()) after[t] = e.values[t];  // updates start from the old values
  }
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    check_in_place(graph, e.values, n);
    if (find_op(graph.nodes[n].op).elementwise) check_elementwise(graph, after, graph.nodes[n]);
  }
}

// Each input that can be had again from the outputs is what it was, and stands for itself in the
// gradient.
void check_inverses(const Experiment& e, const Differentiated& d, const OpCase& c) {
  const Node& node = e.graph.nodes[0];
  const OpDef& def = find_op(node.op);
  for (size_t i = 0; def.inverse && i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoTensor) continue;
    const Inverse inverse = def.inverse(e.graph, node, i);
    if (!inverse.node) continue;
    SCOPED_TRACE(str_cat("inverse of input ", i));
    Graph graph = e.graph;
    const TensorId rebuilt = append_node(graph, Phase::forward, inverse.node->op, "inverse",
                                         inverse.node->inputs, inverse.node->attributes)[0];
    Values values = e.values;
    values.resize(graph.tensors.size());
    check_all_written<float>(graph, values);
    check_backends(graph, values, c.inverse_tolerance);
    check_in_place(graph, values, 1);
    Interpreter<double> exact(graph);
    exact.set(values);
    exact.run();
    expect_near(exact.get(rebuilt), exact.get(node.inputs[i]), kInverseTolerance, "round trip");
    if (e.wanted.empty()) continue;

    Graph inverted = d.graph;
    const TensorId again = append_node(inverted, Phase::backward, inverse.node->op, "inverse",
                                       inverse.node->inputs, inverse.node->attributes)[0];
    std::rotate(inverted.nodes.begin() + 1, inverted.nodes.end() - 1, inverted.nodes.end());
    for (size_t n = 2; n < inverted.nodes.size(); ++n) {
      for (TensorId& t : inverted.nodes[n].inputs) t = t == node.inputs[i] ? again : t;
    }
    Interpreter<double> plain(d.graph), through(inverted);
    plain.set(e.values);
    plain.run();
    through.set(e.values);
    through.run();
    for (TensorId t : e.wanted) {
      const TensorId diff = d.diffs[at(t)];
      if (diff == kNoTensor) continue;
      expect_near(through.get(diff), plain.get(diff), kInverseTolerance,
                  "through the inverse, gradient of " + e.graph.tensor(t).name);
    }
  }
}

void check_case(const std::string& op, const OpCase& c) {
  const Experiment e = set_up(op, c);
  const Differentiated d = differentiate(e, e.wanted);
  verify(d.graph);
  check_all_written<float>(d.graph, e.values);
  check_all_written<double>(d.graph, e.values);
  check_f32(d.graph, e.values, c.f32_tolerance);
  check_backends(d.graph, e.values, c.f32_tolerance);
  check_nodes(e, d.graph);
  check_inverses(e, d, c);
  if (e.wanted.empty()) return;
  check_gradients(op, e, c);
  check_subsets(e);
  check_saves(e, d);
}

}  // namespace

Graph op_graph(const std::string& op, const OpCase& c) {
  GraphBuilder b("test");
  std::vector<TensorId> inputs;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const TestInput& in = c.inputs[i];
    inputs.push_back(
        in.shape.rank() == 0
            ? kNoTensor
            : b.graph().add_tensor({str_cat("in", i), in.shape, in.type, Role::data, {}, false}));
  }
  b.layer_outputs(op, "layer", inputs, c.attributes);
  return b.graph();
}

void check_op(const std::string& op, const std::vector<OpCase>& cases) {
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(str_cat(op, ", case ", i));
    try {
      check_case(op, cases[i]);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

std::vector<std::vector<double>> run_op(const std::string& op, const OpCase& c) {
  const Graph graph = op_graph(op, c);
  Interpreter<double> interpreter(graph);
  interpreter.set(values_of(graph, c));
  interpreter.run();
  std::vector<std::vector<double>> results;
  for (const auto* list : {&graph.nodes[0].outputs, &graph.nodes[0].updates}) {
    for (TensorId t : *list) {
      results.push_back(t == kNoTensor ? std::vector<double>{} : interpreter.get(t));
    }
  }
  return results;
}

std::string saved_by(const std::string& op, const OpCase& c) {
  const Graph graph = op_graph(op, c);
  const OpDef& def = find_op(op);
  const Saves saves = saves_of(graph, graph.nodes[0]);
  std::string names;
  const auto append = [&](const std::string& name) { names += (names.empty() ? "" : ", ") + name; };
  for (size_t i : saves.inputs) append(def.inputs.at(i).name);
  for (size_t i : saves.outputs) append(def.outputs.at(i).name);
  return names;
}

Shape output_shape(const std::string& op, const OpCase& c) {
  const Graph graph = op_graph(op, c);
  return graph.tensor(graph.nodes[0].outputs.at(0)).shape;
}

}  // namespace thimble
