#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iomanip>
#include <limits>
#include <sstream>

#include "base/bytes.h"
#include "base/child_task.h"
#include "base/error.h"
#include "runtime/run_folder.h"
#include "runtime/training.h"

namespace thimble {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kPublishedBatch = 512;  // of the paper's figures, pictures of 32x32

// A network and how it is asked to be small.
struct Net {
  const char* model;
  const char* depth;  // empty: it has none
  double published;   // bytes per pixel that the paper or its formulas give
  const char* norm = "batch";
};

// Of the formulas see the column's name. 32 channels, as the paper's own networks have.
constexpr Net kNets[] = {{"resnet18_cifar", "", 2300},
                         {"revnet18", "", 768},
                         {"irevnet", "", 768},
                         {"layerwise_invertible", "4", 320},
                         {"layerwise_invertible", "64", 320},
                         {"hybrid_reversible", "4", 352},
                         {"hybrid_reversible", "64", 352},
                         {"hybrid_reversible", "4", kUnknown, "group"}};

std::string text_of(const std::vector<double>& values) {
  std::ostringstream out;
  out << std::setprecision(17);
  for (double v : values) out << v << ' ';
  return out.str();
}

std::vector<double> values_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<double> values;
  // A stream reads no infinity.
  for (std::string word; in >> word;) values.push_back(std::strtod(word.c_str(), nullptr));
  return values;
}

// In a process of its own: planning and training leave traces in memory.
template <class Measure>
std::vector<double> in_child(const Measure& measure) {
  return values_of(ChildTask([&] { return text_of(measure()); }).result());
}

class Study {
 public:
  Study(const StackRequest& request, const std::function<void(const StudyTable&)>& on_table)
      : request_(request), on_table_(on_table) {}

  std::vector<StudyTable> run() {
    bytes();
    errors_by_layer();
    errors_by_slope();
    errors_by_depth();
    if (!request_.data.empty()) times();
    if (request_.accuracy) accuracy();
    return std::move(tables_);
  }

 private:
  TrainOptions options_of(const std::string& model, const std::string& depth) const {
    TrainOptions o;
    o.model.name = model;
    o.model.width = model == "resnet18_cifar" || model == "revnet18" ? 0.5 : 1;
    if (!depth.empty()) o.model.variants["depth"] = depth;
    o.model.batch = batch();
    o.threads = request_.threads;
    return o;
  }

  // Rebuilt wherever that can be, run again nowhere.
  static TrainOptions rebuilt(TrainOptions o) {
    o.min_snr_db = -1;
    o.without = {"recompute", "microbatch", "row_bands"};
    o.budget_bytes = 1;
    return o;
  }
  // With the smallest budget that it fits.
  static TrainOptions with_smallest_budget(TrainOptions o) {
    if (o.budget_bytes == 0) return o;
    const auto budget = in_child(
        [&] { return std::vector<double>{static_cast<double>(plan(o).smallest_budget_bytes)}; });
    o.budget_bytes = static_cast<int64_t>(budget[0]);
    return o;
  }
  static TrainOptions kept(TrainOptions o) {
    o.without = {"invert", "recompute", "microbatch", "row_bands"};
    return o;
  }

  int64_t bytes_batch() const { return request_.quick ? 8 : 128; }
  int64_t batch() const { return request_.quick ? 8 : 64; }
  int64_t large_batch() const { return request_.quick ? 16 : kPublishedBatch; }
  int64_t accuracy_batch() const { return request_.quick ? 16 : 128; }
  int64_t epochs() const { return request_.quick ? 1 : 2; }
  int64_t error_batch() const { return request_.quick ? 4 : 32; }
  int64_t steps() const { return request_.quick ? 2 : request_.steps; }

  void add(StudyTable table) {
    if (on_table_) on_table_(table);
    tables_.push_back(std::move(table));
  }

  // The slope of the arena against the input's pixels, and the arena itself.
  void bytes() {
    StudyTable table{
        "bytes",
        "Bytes per input pixel",
        str_cat("32 channels, batch norm but where said, f32, SGD with momentum, batch ",
                bytes_batch(),
                " against twice that; arena: weights, gradients, maps, two batches of "
                "pictures (24 bytes a pixel), without the program"),
        {"kept", "rebuilt", "all exact techniques", "paper or its formulas",
         str_cat("MiB at batch ", large_batch(), ", rebuilt")},
        {}};
    for (const Net& net : kNets) {
      if (request_.quick && std::string(net.depth) == "64") continue;
      TrainOptions o = options_of(net.model, net.depth);
      o.model.batch = bytes_batch();
      o.model.norm = net.norm;
      table.rows.push_back(
          {name_of(net), in_child([&] {
             TrainOptions all = rebuilt(o);
             all.min_snr_db = 100;
             all.without = {};
             TrainOptions large = net.model == std::string("resnet18_cifar") ? kept(o) : rebuilt(o);
             large.model.batch = large_batch();
             const double small = profile(all).arena_bytes_per_pixel;
             const bool rebuilds = net.model != std::string("resnet18_cifar");
             return std::vector<double>{
                 profile(kept(o)).arena_bytes_per_pixel,
                 rebuilds ? profile(rebuilt(o)).arena_bytes_per_pixel : kUnknown, small,
                 net.published, static_cast<double>(plan(large).arena_bytes) / 1048576};
           })});
    }
    add(std::move(table));
  }

  static std::string name_of(const Net& net) {
    const std::string norm = net.norm;
    return str_cat(net.model, *net.depth == '\0' ? "" : ", depth ", net.depth,
                   norm == "batch" ? "" : ", norm " + norm);
  }

  std::string error_settings() const {
    return str_cat("fresh weights, ", request_.data.empty() ? "noise for pictures" : "first batch",
                   ", batch ", error_batch(),
                   ", 16 channels, batch norm, f32; dB, in the order of the backward pass");
  }

  Reversibility measured(const std::string& model, const std::string& depth,
                         const std::string& slope = "0.2") const {
    TrainOptions o = options_of(model, depth);
    o.model.variants["slope"] = slope;
    o.model.width = 0.5;
    o.model.batch = error_batch();
    o.data.path = request_.data;
    o.min_snr_db = -1;
    return reversibility(o);
  }

  // The paper's figures 10 and 12: what convolutions read.
  void errors_by_layer() {
    for (const char* model : {"layerwise_invertible", "hybrid_reversible"}) {
      StudyTable table{str_cat("snr_", model),
                       str_cat("Signal to noise by layer: ", model, ", depth 8"),
                       error_settings(),
                       {"measured", "theory"},
                       {}};
      const std::string text = ChildTask([&] {
                                 std::string names;
                                 std::vector<double> values;
                                 for (const RebuiltTensor& t : measured(model, "8").tensors) {
                                   if (!t.inverted) continue;
                                   names += t.name + ' ';
                                   values.insert(values.end(), {t.measured_db, t.predicted_db});
                                 }
                                 return names + '\n' + text_of(values);
                               }).result();
      std::istringstream names(text.substr(0, text.find('\n')));
      const std::vector<double> values = values_of(text.substr(text.find('\n') + 1));
      std::string name;
      for (size_t i = 0; names >> name; i += 2) {
        table.rows.push_back({name, {values[i], values[i + 1]}});
      }
      add(std::move(table));
    }
  }

  static std::vector<double> least_of(const Reversibility& r) {
    double theory = std::numeric_limits<double>::infinity();
    for (const RebuiltTensor& t : r.tensors) theory = std::min(theory, t.predicted_db);
    return {r.least_measured_db, theory, r.predicted_before_db, r.gradient_db};
  }

  void errors_by_slope() {
    StudyTable table{"snr_slope",
                     "Noisiest map by slope: layerwise_invertible, depth 6",
                     error_settings(),
                     {"measured", "theory", "predicted before", "gradients"},
                     {}};
    for (const char* slope : {"0.8", "0.5", "0.2", "0.1", "0.05"}) {
      table.rows.push_back({slope, in_child([&] {
                              return least_of(measured("layerwise_invertible", "6", slope));
                            })});
    }
    add(std::move(table));
  }

  void errors_by_depth() {
    StudyTable table{"snr_depth",
                     "Noisiest map by depth, slope 0.2",
                     error_settings(),
                     {"measured", "theory", "predicted before", "gradients"},
                     {}};
    for (const char* model : {"layerwise_invertible", "hybrid_reversible"}) {
      for (const char* depth : {"4", "8", "12", "16"}) {
        if (request_.quick && std::string(depth) != "4") continue;
        table.rows.push_back({str_cat(model, ", ", depth),
                              in_child([&] { return least_of(measured(model, depth)); })});
      }
    }
    add(std::move(table));
  }

  static void require_fit(const PlanReport& plan, const TrainOptions& o) {
    if (plan.fits) return;
    throw DoesNotFit(str_cat(o.model.name, " takes ", format_bytes(plan.process_bytes),
                             " and does not fit in ", format_bytes(plan.budget_bytes)));
  }

  struct TimedStep {
    double seconds = 0;    // median of a few
    std::string inverted;  // which way the plan had maps again, empty: none
  };

  // In a process of its own each.
  TimedStep timed_step(TrainOptions o) const {
    o.data.path = request_.data;
    o = with_smallest_budget(std::move(o));
    const std::string text = ChildTask([&] {
                               calibrate(o);
                               int64_t done = 0;
                               const TrainReport report = train(
                                   o, [&](const Progress& p) { done += !p.epoch_done; },
                                   [&] { return done >= steps(); });
                               require_fit(report.plan, o);
                               const std::vector<std::string>& techniques = report.plan.techniques;
                               const auto invert = std::find_if(
                                   techniques.begin(), techniques.end(),
                                   [](const std::string& t) { return t.starts_with("invert"); });
                               return str_cat(invert == techniques.end() ? "" : *invert, '\n',
                                              text_of({report.step_seconds_median}));
                             }).result();
    const size_t line = text.find('\n');
    return {values_of(text.substr(line)).at(0), text.substr(0, line)};
  }

  void times() {
    StudyTable table{
        "times",
        "A step with rebuilt maps, beside the same network with kept ones",
        str_cat("32 channels (hybrid: depth 6), batch ", batch(), ", batch norm, f32; medians of ",
                steps(), " steps, pictures included; rebuilt: the smallest budget"),
        {"kept, s", "rebuilt, s", "ratio", "paper, from", "paper, to"},
        {}};
    struct Timed {
      const char* model;
      const char* depth;
      double paper_least, paper_most;
    };
    for (const Timed& net :
         {Timed{"hybrid_reversible", "6", 1.39, 1.6}, Timed{"revnet18", "", kUnknown, kUnknown}}) {
      const TrainOptions o = options_of(net.model, net.depth);
      const TimedStep plain = timed_step(kept(o)), again = timed_step(rebuilt(o));
      table.rows.push_back({str_cat(net.model, again.inverted.empty() ? "" : "; ", again.inverted),
                            {plain.seconds, again.seconds, again.seconds / plain.seconds,
                             net.paper_least, net.paper_most}});
    }
    add(std::move(table));
  }

  // Trains in the run folder; a run that was interrupted goes on.
  double trained(TrainOptions o, const std::string& name) const {
    o.data.path = request_.data;
    o.data.flip = true;
    o.data.crop_pad = 4;
    o.model.width = 0.5;
    o.model.batch = accuracy_batch();
    o.optimizer.learning_rate = 0.1;
    o.optimizer.nesterov = true;
    o.optimizer.weight_decay = 5e-4;
    o.optimizer.warmup_epochs = 0.4;
    o.epochs = epochs();
    o.seed = 1;
    const std::string folder = request_.run_folder.empty()
                                   ? str_cat("runs/reversible", request_.quick ? "-quick" : "")
                                   : request_.run_folder;
    o.run_folder = str_cat(folder, "/", name);
    o = with_smallest_budget(std::move(o));
    return in_child([&] {
      o.resume = RunFolder(o.run_folder).has_checkpoint();
      calibrate(o);
      try {
        const TrainReport report = train(o);
        require_fit(report.plan, o);
        return std::vector<double>{report.accuracy};
      } catch (const Diverged&) {
        return std::vector<double>{kUnknown};
      }
    })[0];
  }

  // What the paper's own notebooks reached after 40 epochs and more, kept and rebuilt.
  struct Trained {
    const char* model;
    const char* depth;
    const char* coupling;  // of hybrids
    double paper_kept, paper_rebuilt;
  };
  static constexpr Trained kTrained[] = {
      {"layerwise_invertible", "4", "", 0.900, 0.911},
      {"layerwise_invertible", "6", "", 0.925, 0.930},
      {"layerwise_invertible", "8", "", 0.934, 0.623},
      {"layerwise_invertible", "12", "", 0.938, 0.344},
      {"hybrid_reversible", "10", "add", 0.925, 0.917},
      {"hybrid_reversible", "16", "add", kUnknown, kUnknown},
      {"hybrid_reversible", "16", "fixed_point", kUnknown, kUnknown}};

  void accuracy() {
    StudyTable table{
        "accuracy",
        "Accuracy by depth, slope 0.2",
        str_cat("16 channels, batch norm, f32, batch ", accuracy_batch(), ", ", epochs(),
                " epochs, SGD with Nesterov's momentum, rate 0.1, cosine, flip and "
                "crop, seed 1; unknown: the loss was not a number; paper: 32 channels "
                "(layer-wise rebuilt: 48), 40 epochs or more"),
        {"kept", "rebuilt", "paper, kept", "paper, rebuilt"},
        {}};
    for (const Trained& t : kTrained) {
      if (request_.quick && std::string(t.depth) != "4") continue;
      TrainOptions o = options_of(t.model, t.depth);
      std::string name = str_cat(t.model, '-', t.depth);
      if (*t.coupling != '\0') {
        o.model.variants["coupling"] = t.coupling;
        name += str_cat('-', t.coupling);
      }
      const double plain = trained(kept(o), name + "-kept");
      const double again = trained(rebuilt(o), name + "-rebuilt");
      table.rows.push_back({name, {plain, again, t.paper_kept, t.paper_rebuilt}});
    }
    add(std::move(table));
  }

  const StackRequest& request_;
  const std::function<void(const StudyTable&)>& on_table_;
  std::vector<StudyTable> tables_;
};

}  // namespace

std::vector<StudyTable> reproduce_reversible(
    const StackRequest& request, const std::function<void(const StudyTable&)>& on_table) {
  require(!request.accuracy || !request.data.empty(),
          "accuracy needs data: CIFAR-10, or a folder like it");
  return Study(request, on_table).run();
}

}  // namespace thimble
