#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "api/one_step.h"
#include "base/names.h"
#include "base/random.h"
#include "planner/build.h"
#include "transforms/core/noise.h"
#include "transforms/core/observe.h"
#include "transforms/core/signal_power.h"

namespace thimble {
namespace {

constexpr double kEndless = std::numeric_limits<double>::infinity();

// Endless where nothing differs, and below any number where the noise is none.
double ratio_db(double signal, double noise) {
  if (noise == 0) return kEndless;
  return std::isfinite(noise) ? 10 * std::log10(signal / noise) : -kEndless;
}

// The first batch that training would see; without data, noise and classes in turn.
struct Batch {
  std::vector<float> images;
  std::vector<int32_t> labels;
};

constexpr uint64_t kImageStream = 0x5e7e251b;  // of random numbers

Batch first_batch(const Setup& setup) {
  const Graph& forward = setup.request.forward;
  const Shape& images = forward.tensor(forward.find("images")).shape;
  Batch batch{std::vector<float>(static_cast<size_t>(images.elements())),
              std::vector<int32_t>(static_cast<size_t>(images[0]))};
  if (!setup.train_data) {
    const RandomStream random(setup.options.seed, kImageStream);
    for (size_t i = 0; i < batch.images.size(); ++i) {
      batch.images[i] = static_cast<float>(random.normal(i));
    }
    for (size_t i = 0; i < batch.labels.size(); ++i) {
      batch.labels[i] = static_cast<int32_t>(static_cast<int64_t>(i) % setup.options.model.classes);
    }
    return batch;
  }
  LoaderOptions options = setup.train_loader;
  options.batch = images[0];
  const Arena workspace(BatchLoader::workspace_bytes(*setup.train_data, options));
  Batch next = batch;
  BatchLoader loader(*setup.train_data, options, workspace.data(),
                     {BatchSlot{batch.images.data(), batch.labels.data()},
                      BatchSlot{next.images.data(), next.labels.data()}});
  loader.begin_epoch(0);
  const auto loaded = loader.next();
  ensure(loaded.has_value(), "the data has no batch");
  return loaded->slot == 0 ? batch : next;
}

using Values = std::map<std::string, std::vector<float>>;

// By weight. The momentum of a first step is its gradient.
Values gradients(const Graph& graph, const OneStep& step) {
  Values values;
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    if (graph.tensors[t].role != Role::optimizer) continue;
    const auto* begin = step.at<float>(static_cast<TensorId>(t));
    const int64_t bytes = step.schedule().buffer(static_cast<BufferId>(t)).bytes;
    values[graph.tensors[t].name].assign(begin, begin + bytes / int64_t{sizeof(float)});
  }
  return values;
}

// A first step, in which nothing moves.
void run(OneStep& step, const Batch& batch) {
  step.set_batch(batch.images, batch.labels);
  *step.at<float>("lr") = 0;
  std::fill_n(step.at<int32_t>("counter"), 3, 0);
  step.run();
}

double gradient_db(const Values& kept, const Values& inverted) {
  double signal = 0, noise = 0;
  for (const auto& [name, expected] : kept) {
    const std::vector<float>& got = inverted.at(name);
    ensure(got.size() == expected.size(), name, " lies differently in two steps");
    for (size_t i = 0; i < expected.size(); ++i) {
      const double gradient = expected[i];
      const double error = got[i] - gradient;
      signal += gradient * gradient;
      noise += error * error;
    }
  }
  return ratio_db(signal, noise);
}

Graph graph_of(const PlanRequest& request, const Candidate& candidate) {
  Rewrite rewrite = keeping_graph(request, candidate);
  require(rewrite.graph.has_value(), "nothing is had again: ", rewrite.refusal);
  return std::move(*rewrite.graph);
}

Graph finished(const PlanRequest& request, const Graph& graph) {
  return std::move(*finished_graph(request, graph, {}).graph);
}

// What lies inside of branches from their ends, where the model has such branches.
int64_t option_for(const Graph& training, int64_t snr_db) {
  const int64_t hybrid = invert_option(snr_db, Inside::inverted);
  return ways_of(training, hybrid).branches.empty() ? invert_option(snr_db, Inside::again) : hybrid;
}

// Maps that gradients read and `any` would not keep.
int64_t anchors_of(const Graph& training, const Ways& ways, const Ways& any) {
  std::set<TensorId> read;
  for (const Node& node : training.nodes) {
    if (node.phase == Phase::backward) read.insert(node.inputs.begin(), node.inputs.end());
  }
  return std::count_if(any.of.begin(), any.of.end(), [&](const auto& entry) {
    const TensorId t = entry.first;
    return !ways.of.contains(t) && read.contains(t) && training.tensor(t).shape.rank() == 4;
  });
}

// What was measured, and what the theory says of weights that it knows.
std::vector<RebuiltTensor> compare(const Graph& training, Ways ways, const OneStep& step,
                                   const std::vector<Observed>& observed) {
  std::map<int32_t, double> losses;  // by forward node
  for (const Observed& o : observed) {
    if (o.loss_db != kNoTensor) losses[o.node] = *step.at<float>(o.loss_db);
  }
  const auto learn = [&](Way& way) {
    const auto loss = losses.find(way.node);
    if (!way.again && loss != losses.end()) way.loss_db = loss->second;
  };
  for (auto& [t, way] : ways.of) learn(way);
  for (RebuiltBranch& branch : ways.branches) {
    for (auto& [t, way] : branch.after) learn(way);
  }
  std::vector<double> powers = expected_powers(training);
  for (const Observed& o : observed) {
    const TensorId t = training.find(o.tensor);
    powers[static_cast<size_t>(t)] =
        *step.at<float>(o.powers) / static_cast<double>(training.tensor(t).shape.elements());
  }
  NoiseModel model(ways, powers);
  std::vector<RebuiltTensor> all;
  std::map<std::string, double> measured;  // of the newest version
  for (const Observed& o : observed) {
    const TensorId t = training.find(o.tensor);
    const float* found = step.at<float>(o.powers);
    RebuiltTensor r;
    r.name = o.tensor;
    r.layer = training.nodes[static_cast<size_t>(o.node)].name;
    r.inverted = o.inverted;
    r.measured_db = ratio_db(found[0], found[1]);
    r.predicted_db = ratio_db(1, model.of(t));
    const TensorId from = training.nodes[static_cast<size_t>(o.node)].outputs[0];
    const auto source = measured.find(training.tensor(from).name);
    const auto way = ways.of.find(t);
    if (o.inverted && way != ways.of.end() && !way->second.again && way->second.loss_db > 0) {
      r.predicted_loss_db = way->second.loss_db;
      const bool noisy = source != measured.end() && std::isfinite(source->second);
      r.loss_db = noisy ? source->second - r.measured_db : std::numeric_limits<double>::quiet_NaN();
    }
    measured[o.tensor] = r.measured_db;
    // Not what a branch that runs again passes through, and then has from its end.
    if (way != ways.of.end() && way->second.again != o.inverted) all.push_back(std::move(r));
  }
  return all;
}

}  // namespace

Reversibility reversibility(const TrainOptions& options) {
  require(options.patches.height == 0,
          "reversibility looks at one network: leave the cutting into patches out");
  require(options.allow.empty(), "reversibility measures what f32 does: allow nothing else");
  require(options.without.empty(), "reversibility looks at invert alone: without has '",
          joined(options.without), "', leave it out");
  TrainOptions plain_loss = options;
  plain_loss.cache_features = false;  // it looks at all maps
  // What examples count makes no difference to maps.
  if (options.data.balance == "loss") plain_loss.data.balance = "none";
  Setup setup = prepare(std::move(plain_loss), true);
  PlanRequest& request = setup.request;
  request.optimizer = {"sgd", {{"momentum", 0.9}}};
  const Graph training = graph_of(request, {});
  const int64_t option = option_for(training, request.min_snr_db);
  const Graph inverted = graph_of(request, {1, {{find_technique("invert"), option}}});
  const Ways ways = ways_of(training, option);
  Reversibility report;
  report.options = setup.options;
  report.predicted_before_db = ways.least_snr_db;
  report.kept_anchors =
      anchors_of(training, ways, ways_of(training, option_for(training, kAnySnr)));

  const Batch batch = first_batch(setup);
  std::vector<Observed> observed;
  const Graph measuring = finished(request, observe_rebuilt(inverted, observed));
  const auto backend = make_backend(setup.options.backend);
  std::vector<NamedLayout> layouts;
  OneStep step(setup, measuring, *backend, layouts);
  run(step, batch);
  report.tensors = compare(training, ways, step, observed);
  for (const RebuiltTensor& t : report.tensors) {
    report.least_measured_db = std::min(report.least_measured_db, t.measured_db);
  }
  const Graph plain = finished(request, training);
  OneStep kept(setup, plain, *backend, layouts);
  run(kept, batch);
  report.gradient_db = gradient_db(gradients(plain, kept), gradients(measuring, step));
  return report;
}

}  // namespace thimble
