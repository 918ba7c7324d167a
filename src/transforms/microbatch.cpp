#include "transforms/microbatch.h"

#include <algorithm>
#include <iterator>

#include "ops/core/builder.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

size_t at(TensorId t) { return static_cast<size_t>(t); }

Attributes scale_of(int64_t count) { return {{"scale", 1.0 / static_cast<double>(count)}}; }

// An update and, where it is of a copy of some channels, what makes that copy and writes it back.
struct Update {
  const Node* node = nullptr;
  const Node* read = nullptr;
  const Node* write = nullptr;
};

bool is_around_update(const Node& node) {
  return node.op == "read_channels" || node.op == "write_channels";
}

Update update_at(const Graph& training, size_t place) {
  const Node& node = training.nodes[place];
  if (is_persistent(training.tensor(node.inputs[0]).role)) return {&node};
  ensure(place > 0 && place + 1 < training.nodes.size(), "nothing around ", node.name);
  const Update update = {&node, &training.nodes[place - 1], &training.nodes[place + 1]};
  ensure(update.read->outputs[0] == node.inputs[0] && update.write->inputs[0] == node.inputs[0],
         "the copy that ", node.op, ' ', node.name, " updates is not made and written back there");
  return update;
}

void at_the_end(Graph& graph, const Node* node) {
  if (node == nullptr) return;
  graph.nodes.push_back(*node);
  graph.nodes.back().phase = Phase::finish;
}

void in_state(Graph& graph, const Update& around, const AccumulatingOptimizer& ops, int64_t count) {
  const Node& update = *around.node;
  const TensorId weights = update.inputs[0];
  const TensorId state = update.inputs[kOptimizerStateInput];
  TensorId before = weights;
  if (const Node* read = around.read) {
    before =
        append_node(graph, Phase::prepare, read->op, read->name, read->inputs, read->attributes)[0];
  }
  append_node(graph, Phase::prepare, ops.begin, update.name, {before, state}, update.attributes);
  append_node(graph, Phase::update, "accumulate", update.name, {state, update.inputs[1]},
              scale_of(count));
  at_the_end(graph, around.read);
  append_node(graph, Phase::finish, ops.finish, update.name, {weights, state, update.inputs[2]},
              update.attributes);
  at_the_end(graph, around.write);
}

void in_accumulator(Graph& graph, const Update& around, int64_t count) {
  const Node& update = *around.node;
  const Tensor& weights = graph.tensor(update.inputs[0]);
  const TensorId sum = graph.add_tensor({str_cat("sum of gradients.", weights.name),
                                         weights.shape,
                                         ElementType::f32,
                                         Role::accumulator,
                                         {},
                                         false});
  append_node(graph, Phase::prepare, "clear", update.name, {sum});
  append_node(graph, Phase::update, "accumulate", update.name, {sum, update.inputs[1]},
              scale_of(count));
  std::vector<TensorId> inputs = update.inputs;
  inputs[1] = sum;
  at_the_end(graph, around.read);
  append_node(graph, Phase::finish, update.op, update.name, inputs, update.attributes);
  at_the_end(graph, around.write);
}

}  // namespace

int64_t batch_of(const Graph& forward) {
  const TensorId images = forward.find("images");
  ensure(images != kNoTensor, forward.name, " has no images");
  return forward.tensor(images).shape[0];
}

Graph with_batch(const Graph& forward, int64_t batch) {
  Graph graph = forward;
  for (const char* name : {"images", "labels"}) {
    const TensorId t = graph.find(name);
    if (t == kNoTensor) continue;
    const Shape& old = forward.tensor(t).shape;
    Shape shape{batch};
    for (int i = 1; i < old.rank(); ++i) shape.push_back(old[i]);
    graph.tensor(t).shape = shape;
  }
  for (const Node& node : graph.nodes) {
    const std::vector<TensorSpec> specs = find_op(node.op).infer(shapes_of(graph, node));
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] != kNoTensor) graph.tensors[at(node.outputs[i])].shape = specs[i].shape;
    }
  }
  verify(graph);
  return graph;
}

bool reads_batch_statistics(const Graph& forward) {
  return std::any_of(forward.nodes.begin(), forward.nodes.end(), [&](const Node& node) {
    return std::any_of(node.updates.begin(), node.updates.end(),
                       [&](TensorId t) { return forward.tensor(t).role == Role::statistic; });
  });
}

Graph accumulate_gradients(const Graph& training, int64_t count) {
  Graph graph = training;
  graph.microbatches = count;
  // What stands behind the updates, runs once already.
  const auto behind = [](const Node& n) { return n.phase == Phase::update || runs_once(n.phase); };
  std::erase_if(graph.nodes, behind);
  const size_t body = graph.nodes.size();
  for (size_t n = 0; n < training.nodes.size(); ++n) {
    const Node& update = training.nodes[n];
    if (update.phase != Phase::update || is_around_update(update)) continue;
    const OpDef& def = find_op(update.op);
    if (!moves_weights(def)) {
      graph.nodes.push_back(update);
      continue;
    }
    const auto ops = def.accumulating ? def.accumulating(update.attributes) : std::nullopt;
    const Update around = update_at(training, n);
    ops ? in_state(graph, around, *ops, count) : in_accumulator(graph, around, count);
  }
  std::copy_if(training.nodes.begin(), training.nodes.end(), std::back_inserter(graph.nodes),
               [](const Node& n) { return n.phase == Phase::finish; });
  const auto first = graph.nodes.begin() + static_cast<std::ptrdiff_t>(body);
  std::stable_partition(first, graph.nodes.end(),
                        [](const Node& n) { return n.phase != Phase::finish; });
  std::stable_partition(graph.nodes.begin(), graph.nodes.end(),
                        [](const Node& n) { return n.phase == Phase::prepare; });
  // The preparation moved to the front: forward nodes are further back.
  const auto prepared =
      static_cast<int32_t>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                         [](const Node& n) { return n.phase == Phase::prepare; }));
  for (Node& node : graph.nodes) {
    if (node.gradient_of >= 0) node.gradient_of += prepared;
  }
  verify(graph);
  return graph;
}

const Technique& technique_microbatch() {
  static const Technique technique = {
      .name = "microbatch",
      .summary = "A step goes through the batch in equal parts and sums their gradients",
      .paper = "with batch norm: ghost batch norm, arXiv 1705.08741",
      .allowance = "ghost-batch-norm",
      .accepts = "split the batch although batch norm then sees a part of it at a time",
      .promise = [](const Graph& forward) {
        return reads_batch_statistics(forward) ? Promise::approximate : Promise::same_math;
      }};
  return technique;
}

}  // namespace thimble
