#include "planner/build.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "transforms/cached_features.h"
#include "transforms/microbatch.h"

namespace thimble {
namespace {

using Stage = Technique::Stage;

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool may_be_used(const PlanRequest& request, const Technique& t) {
  if (contains(request.without, t.name)) return false;
  if (t.uses_storage && !request.storage) return false;
  return t.promise(request.forward) != Promise::approximate || contains(request.allow, t.allowance);
}

// Declared by the file that the planner drives itself.
const Technique& microbatch() {
  const Technique* technique = find_technique("microbatch");
  ensure(technique != nullptr, "there is no technique microbatch");
  return *technique;
}

// The settings of one stage in turn, then what is free.
Rewrite apply(const PlanRequest& request, Graph graph, Stage stage,
              const std::vector<Setting>& settings) {
  Rewrite all;
  for (const Setting& s : settings) {
    if (s.technique->stage != stage) continue;
    Rewrite next = s.technique->apply(graph, s.option);
    // What evaluates the whole network may have a use for it.
    if (!next.graph && request.cached && s.technique->evaluates) continue;
    if (!next.graph) return {std::nullopt, str_cat(s.technique->name, ": ", next.refusal)};
    graph = std::move(*next.graph);
    all.snr_db = std::min(all.snr_db, next.snr_db);
  }
  for (const Technique* t : techniques()) {
    if (!t->free || t->stage != stage || contains(request.without, t->name)) continue;
    Rewrite next = t->apply(graph, t->options.front());
    if (next.graph) graph = std::move(*next.graph);
  }
  all.graph = std::move(graph);
  return all;
}

Graph forward_of(const PlanRequest& request, int64_t microbatches) {
  return with_batch(request.forward, batch_of(request.forward) / microbatches);
}

// What a step runs forward, of one microbatch.
Graph trained_of(const PlanRequest& request, int64_t microbatches) {
  Graph forward = forward_of(request, microbatches);
  return request.cached ? behind_features(forward, request.cached->tensor) : forward;
}

}  // namespace

std::vector<Reservation> reservations_of(const PlanRequest& request, int64_t microbatches) {
  if (!request.reservations) return {};
  return request.reservations(batch_of(request.forward) / microbatches);
}

std::vector<Setting> settings_to_try(const PlanRequest& request) {
  std::vector<Setting> all;
  if (request.numerics && request.numerics->pinned) return all;
  for (const Technique* t : techniques()) {
    if (t->free || t->stage == Stage::searched) continue;
    if (request.numerics && t->promise(request.forward) != Promise::bit_exact) continue;
    if (!may_be_used(request, *t)) continue;
    for (int64_t option : t->options) {
      all.push_back({t, t->with_snr_db ? t->with_snr_db(option, request.min_snr_db) : option});
    }
  }
  return all;
}

bool may_recompute(const PlanRequest& request) { return !contains(request.without, "recompute"); }

std::vector<int64_t> microbatches_to_try(const PlanRequest& request) {
  const int64_t batch = batch_of(request.forward);
  if (request.numerics) {
    const int64_t count = request.numerics->microbatches;
    ensure(batch % count == 0, "a batch of ", batch, " has no ", count, " equal parts");
    return {count};
  }
  if (!may_be_used(request, microbatch())) return {1};
  std::vector<int64_t> counts = equal_parts(request);
  // Batch norm needs a second value.
  if (batch > 1 && reads_batch_statistics(request.forward)) std::erase(counts, batch);
  return counts;
}

bool holds_pictures(const PlanRequest& request, int64_t microbatches) {
  const int64_t batch = batch_of(request.forward);
  if (batch % microbatches != 0) return false;
  const int64_t examples = batch / microbatches;
  return examples % request.patches == 0 || request.patches % examples == 0;
}

std::vector<int64_t> equal_parts(const PlanRequest& request) {
  const int64_t batch = batch_of(request.forward);
  std::vector<int64_t> counts;
  for (int64_t count = 1; count * count <= batch; ++count) {
    if (batch % count != 0) continue;
    counts.push_back(count);
    if (count * count < batch) counts.push_back(batch / count);
  }
  std::erase_if(counts, [&](int64_t count) { return !holds_pictures(request, count); });
  std::sort(counts.begin(), counts.end());
  return counts;
}

Numerics numerics_of(const PlanRequest& request, const Candidate& c) {
  Numerics numerics{c.microbatches, {}};
  numerics.pinned = std::any_of(c.settings.begin(), c.settings.end(), [&](const Setting& s) {
    return s.technique->stage == Stage::last &&
           s.technique->promise(request.forward) == Promise::approximate;
  });
  if (numerics.pinned) {
    numerics.settings = c.settings;
    numerics.recompute = c.recompute;
    return numerics;
  }
  for (const Setting& s : c.settings) {
    if (s.technique->promise(request.forward) != Promise::bit_exact) numerics.settings.push_back(s);
  }
  return numerics;
}

std::string sparse_weights_text(const PlanRequest& request) {
  const std::string method = request.sparse ? str_cat(request.sparse->method, ", changed every ",
                                                      request.sparse->every, " steps")
                                            : "static";
  return describe_sparse_weights(request.forward, method);
}

std::string cached_text(const PlanRequest& request) {
  const Graph& forward = request.forward;
  const Tensor& features = forward.tensor(forward.find(request.cached->tensor));
  const int64_t bytes =
      features.shape.elements() / features.shape[0] * element_bytes(features.type);
  const int64_t examples = request.cached->examples;
  return str_cat(
      "cached_features: ", features.name, ", ", format_bytes(bytes), " of each picture",
      examples > 0 ? str_cat(", ", format_bytes(bytes * examples), " in the run folder") : "");
}

Promise promise_of(const PlanRequest& request, const Candidate& c) {
  const bool other = has_sparse_weights(request.forward) || request.patches > 1;
  Promise promise = other ? Promise::approximate : Promise::bit_exact;
  if (request.cached) promise = std::max(promise, Promise::same_math);
  if (c.microbatches > 1) promise = std::max(promise, microbatch().promise(request.forward));
  for (const Setting& s : c.settings) {
    const bool exact = s.technique->with_snr_db && std::isinf(c.snr_db);
    if (!exact) promise = std::max(promise, s.technique->promise(request.forward));
  }
  // Asked for by name: --min-snr.
  return c.snr_db < static_cast<double>(kUsualSnrDb) ? Promise::approximate : promise;
}

Rewrite keeping_graph(const PlanRequest& request, const Candidate& c) {
  Rewrite forward = apply(request, trained_of(request, c.microbatches), Stage::forward, c.settings);
  if (!forward.graph) return forward;
  const TensorId loss = forward.graph->find("loss");
  ensure(loss != kNoTensor, "the model ", request.forward.name, " has no loss");
  Graph updated = add_optimizer(differentiate(*forward.graph, loss), request.optimizer);
  if (has_sparse_weights(updated)) updated = with_short_dense_moments(updated);
  if (request.sparse) updated = with_changing_positions(updated, *request.sparse);
  Rewrite training = apply(request, std::move(updated), Stage::training, c.settings);
  if (request.min_snr_db != kAnySnr && training.snr_db < static_cast<double>(request.min_snr_db)) {
    return {std::nullopt, str_cat("what is had again would be ", std::lround(training.snr_db),
                                  " dB above its noise, below the least of ", request.min_snr_db)};
  }
  if (training.graph && c.microbatches > 1) {
    training.graph = accumulate_gradients(*training.graph, c.microbatches);
  }
  return training;
}

Rewrite finished_graph(const PlanRequest& request, const Graph& keeping, const Candidate& c) {
  return apply(request, c.recompute ? recompute(keeping, *c.recompute) : keeping, Stage::last,
               c.settings);
}

Rewrite training_graph(const PlanRequest& request, const Candidate& c) {
  Rewrite keeping = keeping_graph(request, c);
  if (!keeping.graph) return keeping;
  Rewrite finished = finished_graph(request, *keeping.graph, c);
  finished.snr_db = keeping.snr_db;
  return finished;
}

Graph evaluation_graph(const PlanRequest& request, const Candidate& c) {
  Graph graph = inference_graph(forward_of(request, c.microbatches));
  if (request.cached) graph = keeping_features(std::move(graph), request.cached->tensor);
  for (const Setting& s : c.settings) {
    if (!s.technique->evaluates) continue;
    Rewrite next = s.technique->apply(graph, s.option);
    if (next.graph) graph = std::move(*next.graph);
  }
  return graph;
}

}  // namespace thimble
