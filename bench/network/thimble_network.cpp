// What thimble computes with a network from a file, for comparison with others: it is planned and
// run as training is, with batches from a file of tensors.
//
//   bench_network eval MODEL.thimble WEIGHTS IN.safetensors OUT.safetensors [BACKEND]
//   bench_network train MODEL.thimble IN.safetensors LR NORM TRAINED FIRST.safetensors
//                       AFTER.safetensors [BACKEND]
//
// eval reads "images", writes "outputs"; WEIGHTS is a file of the network's tensors, such as MODEL
// or AFTER. train reads "images.K" and "labels.K", K = 0, 1, ..., takes a step of SGD with momentum
// 0.9 on each and prints its loss. TRAINED is all, not-norms, or names with commas between. FIRST
// gets everything after the first step, whose momentum is the gradient; AFTER the network's tensors
// at the end.
#include <algorithm>
#include <iostream>
#include <set>
#include <sstream>

#include "autodiff/differentiate.h"
#include "memory/plan.h"
#include "planner/planner.h"
#include "runtime/arena.h"
#include "runtime/executor.h"
#include "runtime/network_file.h"
#include "runtime/weights.h"

namespace thimble {
namespace {

const TensorEntry& entry(const SafetensorsReader& file, const std::string& name) {
  for (const TensorEntry& e : file.entries()) {
    if (e.name == name) return e;
  }
  throw UserError("no tensor " + name);
}

ModelOptions options_for(const TensorEntry& images, const std::string& norm) {
  ModelOptions o;
  o.batch = images.shape[0];
  o.channels = images.shape[1];
  o.height = images.shape[2];
  o.width_px = images.shape[3];
  o.norm = norm;
  return o;
}

// A schedule with its memory.
struct Bound {
  Bound(const Schedule& schedule, const MemoryPlan& memory, int64_t arena_bytes)
      : arena(arena_bytes),
        executor(schedule, memory, arena.data()),
        weights(schedule, memory, arena.data(), arena_bytes, nullptr) {}
  Arena arena;
  Executor executor;
  WeightStore weights;
};

int64_t bytes_of(const Schedule& schedule, const char* name) {
  return schedule.buffer(schedule.find(name)).bytes;
}

void eval(const std::vector<std::string>& args, const std::string& backend_name) {
  const SafetensorsReader in(args[2]);
  const Network network = read_network(args[0]);
  Graph graph = inference_graph(graph_of(network, options_for(entry(in, "images"), "frozen")));
  graph.tensor(graph.find("logits")).role = Role::metric;  // nothing is put over it
  const auto backend = make_backend(backend_name);
  std::vector<NamedLayout> layouts;
  const Schedule schedule = make_schedule(graph, *backend, layouts);
  const MemoryPlan memory = plan_memory(schedule, place_persistent({&schedule}, {}));
  Bound bound(schedule, memory, memory.arena_bytes + staging_bytes(schedule));
  bound.weights.load(args[1], false);
  in.read("images", bound.executor.address(schedule.find("images")), entry(in, "images").bytes);
  std::fill_n(static_cast<int32_t*>(bound.executor.address(schedule.find("labels"))),
              bytes_of(schedule, "labels") / 4, 0);
  bound.executor.run();
  const Shape& shape = schedule.buffer(schedule.find("logits")).shape;
  const int64_t bytes = shape.elements() * 4;
  SafetensorsWriter out(args[3], {{"outputs", "F32", {shape.begin(), shape.end()}, bytes}});
  out.write(bound.executor.address(schedule.find("logits")), bytes);
  out.finish();
}

// Weights that stay as they are.
void freeze(Graph& graph, const std::string& trained) {
  std::set<std::string> chosen;
  std::istringstream names(trained);
  for (std::string name; std::getline(names, name, ',');) chosen.insert(name);
  std::set<TensorId> of_norms;
  for (const Node& node : graph.nodes) {
    if (node.op != "batch_norm") continue;
    of_norms.insert(node.inputs.begin() + 2, node.inputs.end());
  }
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    Tensor& tensor = graph.tensors[t];
    if (trained == "not-norms") {
      tensor.trainable = tensor.trainable && !of_norms.contains(static_cast<TensorId>(t));
    } else if (trained != "all") {
      tensor.trainable = tensor.trainable && chosen.contains(tensor.name);
    }
  }
}

void train(const std::vector<std::string>& args, const std::string& backend) {
  const SafetensorsReader in(args[1]);
  const Network network = read_network(args[0]);
  PlanRequest request;
  request.forward = graph_of(network, options_for(entry(in, "images.0"), args[3]));
  request.backend = backend;
  freeze(request.forward, args[4]);
  const Plan plan = make_plan(request, {1e11, 1e10, 1e-6, 2e11});
  const Schedule& schedule = plan.train.schedule;
  Bound bound(schedule, plan.train.memory, plan.arena_bytes);
  bound.weights.initialise(1);  // optimizer state
  bound.weights.load(args[0], false);
  const auto place = [&](const char* name) { return bound.executor.address(schedule.find(name)); };
  *static_cast<float*>(place("lr")) = std::stof(args[2]);
  std::cout.precision(9);
  for (int32_t k = 0; in.has(str_cat("images.", k)); ++k) {
    in.read(str_cat("images.", k), place("images"), bytes_of(schedule, "images"));
    in.read(str_cat("labels.", k), place("labels"), bytes_of(schedule, "labels"));
    if (schedule.find("counter") != kNoBuffer) *static_cast<int32_t*>(place("counter")) = k;
    bound.executor.run();
    std::cout << *static_cast<float*>(place("loss")) << std::endl;
    if (k == 0) bound.weights.save(args[5], true, {});
  }
  bound.weights.save(args[6], false, {});
}

void run(std::vector<std::string> args) {
  const std::string verb = args.empty() ? "" : args[0];
  const size_t needed = verb == "eval" ? 5 : 8;
  require((verb == "eval" || verb == "train") && args.size() >= needed && args.size() <= needed + 1,
          "usage: see the top of thimble_network.cpp");
  const std::string backend = args.size() > needed ? args[needed] : "auto";
  args.erase(args.begin());
  verb == "eval" ? eval(args, backend) : train(args, backend);
}

}  // namespace
}  // namespace thimble

int main(int argc, char** argv) {
  try {
    thimble::run({argv + 1, argv + argc});
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_network: " << e.what() << '\n';
    return 1;
  }
}
