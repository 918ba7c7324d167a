#include "runtime/setup.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <thread>

#include "autodiff/class_weights.h"
#include "base/names.h"
#include "base/parallel.h"
#include "data/class_sorted.h"
#include "data/pixels.h"
#include "data/registry.h"
#include "models/model.h"
#include "runtime/device.h"
#include "runtime/examples.h"
#include "runtime/feature_cache.h"
#include "runtime/model_choice.h"
#include "runtime/optimizer.h"
#include "transforms/patches.h"

namespace thimble {
namespace {

constexpr int64_t kMostExamples = int64_t{1} << 32;  // of a step

// Data decides the number of classes, and the size of the images of a model without a usual one.
void complete_model(Setup& setup, const Model& model) {
  ModelChoice& choice = setup.options.model;
  const Dataset* data = setup.test_data.get();
  if (data != nullptr) {
    require(choice.classes == 0 || choice.classes >= data->classes(), "the data has ",
            data->classes(), " classes, but ", choice.classes,
            " were asked for; leave --classes out");
    if (choice.classes == 0) choice.classes = data->classes();
  }
  const ModelOptions full = resolve_options(model, model_options(choice, choice.batch));
  choice.batch = full.batch;
  choice.channels = full.channels;
  choice.height = full.height;
  choice.width_px = full.width_px;
  choice.classes = full.classes;
  choice.variants = full.variants;
}

// `rule`: as the model's file says.
LoaderOptions loader_options(const TrainOptions& o, const PixelRule& rule, bool training) {
  LoaderOptions l;
  l.image = {o.model.channels, o.model.height, o.model.width_px};
  if (o.patches.height > 0) {
    l.picture = {o.model.channels, o.patches.height, o.patches.width_px};
    l.patch_step = o.patches.step;
  }
  const int64_t patches = patches_of_picture(l);
  require(o.model.batch <= kMostExamples / patches, "a batch of ", o.model.batch, " pictures of ",
          patches, " patches is more than ", kMostExamples, " examples");
  l.batch = o.model.batch * patches;
  l.seed = o.seed;
  l.shuffle = training;
  l.augment_flip = training && o.data.flip;
  l.augment_crop_pad = training ? o.data.crop_pad : 0;
  l.skip_bad = o.data.skip_bad;
  l.drop_last = training;
  l.decode_bytes = o.data.decode_bytes;
  if (!o.data.pixels.empty()) {
    const PixelNumbers pixels = pixels_called(o.data.pixels);
    l.mean = pixels.mean;
    l.std = pixels.std;
    l.bgr = pixels.bgr;
  } else if (rule.said()) {
    for (size_t c = 0; c < (o.model.channels == 1 ? 1 : 3); ++c) {
      l.mean.push_back(static_cast<float>(rule.mean[c]));
      l.std.push_back(static_cast<float>(rule.std[c]));
    }
    l.bgr = rule.bgr;
  }
  return l;
}

std::vector<std::string> checked_approximations(const std::vector<std::string>& allow) {
  std::vector<std::string> names;
  for (const Technique* t : techniques()) {
    if (!t->allowance.empty()) names.push_back(t->allowance);
  }
  for (const std::string& name : allow) {
    require(std::find(names.begin(), names.end(), name) != names.end(),
            "there is no approximation called '", name, "' to allow", did_you_mean(name, names),
            "; there are ", joined(names));
  }
  return allow;
}

// What the planner chooses and costs something; the rest is the user's choice, or free.
std::vector<std::string> checked_techniques(const std::vector<std::string>& without) {
  std::vector<std::string> names;
  for (const Technique* t : techniques()) {
    const bool chosen = t->apply != nullptr || t->name == "microbatch" || t->name == "recompute";
    if (chosen) names.push_back(t->name);
  }
  for (const std::string& name : without) {
    require(std::find(names.begin(), names.end(), name) != names.end(), "there is no technique '",
            name, "' to leave out", did_you_mean(name, names), "; there are ", joined(names));
  }
  return without;
}

int64_t checked_snr(int64_t db) {
  if (db == -1) return kAnySnr;
  require(db >= 1 && db <= kMostSnrDb, "min_snr_db is ", db, ", needs 1 to ", kMostSnrDb,
          " dB, or -1 for any");
  return db;
}

void make_sparse(Setup& setup) {
  SparseChoice& choice = setup.options.sparse;
  if (const auto groups = groups_of(choice.format); groups && choice.sparsity == 0) {
    choice.sparsity = groups->sparsity();
  }
  require(choice.until >= 0 && choice.until <= 1, "sparse.until is ", choice.until,
          ", needed a share of the training, from 0 to 1");
  SparseWeights how{choice.sparsity, choice.method,   choice.distribution,
                    choice.format,   choice.every,    0,
                    choice.drop,     choice.gradient, choice.explored};
  setup.request.forward = with_sparse_weights(setup.request.forward, how);
  if (!setup.training || how.method == "static") return;
  if (setup.train_data) {
    const int64_t steps =
        count_batches(*setup.train_data, setup.train_loader) * setup.options.epochs;
    // At least 1: 0 would be no end.
    how.until = std::max<int64_t>(1, std::llround(choice.until * static_cast<double>(steps)));
  }
  setup.request.sparse = how;
}

// The weights are the training data's; a plan without data has room for them.
void weigh_classes(Setup& setup) {
  if (!setup.training || setup.options.data.balance != "loss") return;
  setup.request.forward = with_class_weights(std::move(setup.request.forward));
  if (setup.train_data) setup.class_weights = balanced_weights(class_counts(*setup.train_data));
}

// What the loss reads is there when the program has run.
void keep_logits(Setup& setup) {
  for (const Node& node : setup.request.forward.nodes) {
    if (node.op != "softmax_cross_entropy") continue;
    Tensor& logits = setup.request.forward.tensor(node.inputs[0]);
    logits.role = Role::metric;
    setup.logits = logits.name;
  }
}

void check_range(const char* name, int64_t value, int64_t least, int64_t most) {
  require(value >= least && value <= most, name, " is ", value, ", needs ", least, " to ", most);
}

// What flags bound, a file of options and a program may not exceed either.
void check_ranges(const TrainOptions& o) {
  check_range("epochs", o.epochs, 1, 1'000'000);
  check_range("threads", o.threads, 0, 1024);
  check_range("checkpoint_every", o.checkpoint_every, 0, int64_t{1} << 40);
  check_range("data.crop_pad", o.data.crop_pad, 0, 1024);
  check_range("data.decode_bytes", o.data.decode_bytes, 0, INT64_MAX);
  check_range("model.classes", o.model.classes, 0, INT32_MAX);
  require(o.budget_bytes >= 0, "the budget is ", o.budget_bytes, " bytes, needs a positive number");
  if (o.sparse.sparsity != 0 || o.sparse.in_groups()) return;  // checked with the weights
  const auto known = [](const char* name, const std::string& value,
                        const std::vector<std::string>& values) {
    require(std::find(values.begin(), values.end(), value) != values.end(), name, " is '", value,
            "', needs ", joined(values));
  };
  known("sparse.method", o.sparse.method, sparse_methods());
  known("sparse.format", o.sparse.format, {"positions", "blocks"});
  known("sparse.distribution", o.sparse.distribution, {"uniform", "erk"});
}

void check_patches(const TrainOptions& o) {
  require(o.patches.loss == "each" || o.patches.loss == "mean", "patches.loss is '", o.patches.loss,
          "', needs each or mean");
  const bool cut = o.patches.height != 0 || o.patches.width_px != 0;
  require(!cut || (o.patches.height > 0 && o.patches.width_px > 0 && o.patches.step >= 0),
          "patches of pictures of ", o.patches.height, "x", o.patches.width_px, " in steps of ",
          o.patches.step, ": give the size of the pictures, both sides, and a step of 0 or more");
  require(cut || (o.patches.step == 0 && o.patches.loss == "each"),
          "a step between patches or a loss on their mean needs patches; give the size of the "
          "pictures with --patches-of");
  require(o.patches.loss == "each" || o.offload_folder.empty(),
          "the loss on the mean of patches evaluates within a step, when tensors may be in the "
          "file of --offload; leave --offload out, or use --patch-loss each");
}

// What a run that goes on or is evaluated has in place of the file that it began with.
std::string own_model_file(const TrainOptions& o, bool training) {
  return o.resume || !training ? base_of_run(o.run_folder, o.model) : "";
}

void reserve_data(Setup& setup) {
  const ModelChoice& m = setup.options.model;
  const int64_t image_bytes = Shape{1, m.channels, m.height, m.width_px}.elements() * 4;
  int64_t loader_bytes = 0;
  if (setup.train_data) {
    loader_bytes = BatchLoader::workspace_bytes(*setup.train_data, setup.train_loader);
  }
  if (setup.test_data) {
    loader_bytes =
        std::max(loader_bytes, BatchLoader::workspace_bytes(*setup.test_data, setup.test_loader));
  }
  if (setup.validation_data) {
    loader_bytes = std::max(
        loader_bytes, BatchLoader::workspace_bytes(*setup.validation_data, setup.test_loader));
  }
  setup.request.reservations = [image_bytes, loader_bytes](int64_t batch) {
    std::vector<Reservation> all = {{kNextImages, batch * image_bytes}, {kNextLabels, batch * 4}};
    if (loader_bytes > 0) all.push_back({kLoaderMemory, loader_bytes});
    return all;
  };
}

}  // namespace

int usual_threads(int threads) {
  return threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Setup prepare(TrainOptions options, bool training, std::unique_ptr<Dataset> pictures) {
  Setup setup;
  setup.test_data = std::move(pictures);
  setup.training = training;
  setup.options = std::move(options);
  TrainOptions& o = setup.options;
  check_ranges(o);
  o.threads = usual_threads(o.threads);
  check_patches(o);
  check_examples(o);
  if (o.cache_features) check_cacheable(o);
  check_optimizer(o.optimizer);
  if (o.optimizer.learning_rate == 0) {
    o.optimizer.learning_rate = usual_learning_rate(o.optimizer.name);
  }
  const std::string backend = make_backend(o.backend)->name();
  setup.kernels = make_backend(backend)->identity();
  setup.machine = o.device_file.empty() ? known_machine(machine_cache_file(backend, o.threads))
                                        : read_device(o.device_file);
  if (training && !o.offload_folder.empty()) {
    require(std::filesystem::is_directory(o.offload_folder), o.offload_folder,
            ": is no folder for the pages of --offload");
    if (setup.machine != Machine{} && o.device_file.empty()) {
      setup.machine.storage = known_storage(o.offload_folder);
    }
    setup.request.storage = true;
  }
  set_thread_count(o.threads);
  if (!setup.test_data && !o.data.path.empty()) {
    DataOptions data;
    data.classes = o.model.classes;
    setup.test_data = open_dataset(o.data.path, "test", data);
    if (training) {
      setup.train_data = open_dataset(o.data.path, "train", data);
      require(setup.train_data->class_names() == setup.test_data->class_names(), o.data.path,
              ": the train and the test part have different classes");
    }
  }
  const ModelSource source = find_source(o.model, own_model_file(o, training));
  complete_model(setup, source.model);
  setup.model_file = source.file;
  const PixelRule pixels = source.network ? source.network->pixels : PixelRule{};
  setup.train_loader = loader_options(o, pixels, true);
  setup.test_loader = loader_options(o, pixels, false);
  if (setup.train_data) arrange_examples(setup);
  setup.patches = patches_of_picture(setup.test_loader);
  // Before a run folder is made.
  if (setup.train_data) count_batches(*setup.train_data, setup.train_loader);
  reserve_data(setup);
  BuiltModel built = build(source, o.model, o.model.batch * setup.patches);
  setup.request.forward = std::move(built.forward);
  setup.fresh = std::move(built.fresh);
  if (o.patches.height > 0) {
    setup.request.forward =
        with_patches(setup.request.forward, setup.patches, o.patches.loss == "mean");
  }
  weigh_classes(setup);
  if (training && o.cache_features) read_features(setup);
  if (!training) keep_logits(setup);
  setup.request.patches = setup.patches;
  setup.two_passes = training && o.patches.loss == "mean";
  setup.request.looks_first = setup.two_passes;
  if (o.sparse.sparsity != 0 || o.sparse.in_groups()) {
    require(o.model.train == "all", "sparse weights are trained all, and --train is ",
            o.model.train, "; leave one of them out");
    make_sparse(setup);
  }
  setup.request.training = training;
  setup.request.optimizer = optimizer_spec(o.optimizer);
  setup.request.backend = backend;
  setup.request.budget_bytes = o.budget_bytes;
  setup.request.allow = checked_approximations(o.allow);
  setup.request.without = checked_techniques(o.without);
  setup.request.min_snr_db = checked_snr(o.min_snr_db);
  if (setup.test_data) {
    setup.request.warm_up = [train = setup.train_data.get(), test = setup.test_data.get(),
                             loader = setup.test_loader] {
      if (train != nullptr) warm_up_decoding(*train, loader);
      warm_up_decoding(*test, loader);
    };
  }
  return setup;
}

PlanReport report_of(const Plan& plan) {
  PlanReport r;
  r.fits = plan.fits;
  r.budget_bytes = plan.budget_bytes;
  r.process_bytes = plan.process_bytes;
  r.fixed_bytes = plan.fixed_bytes;
  r.arena_bytes = plan.arena_bytes;
  r.lower_bound_bytes = plan.lower_bound_bytes;
  r.smallest_budget_bytes = plan.smallest_budget_bytes;
  r.by_category = plan.by_category;
  r.parameters = plan.parameters;
  r.active_parameters = plan.active_parameters;
  r.predicted_step_seconds = plan.predicted_step_seconds;
  r.predicted_snr_db = plan.predicted_snr_db;
  r.paged_bytes = plan.paged_bytes;
  r.promise = name_of(plan.promise);
  r.techniques = plan.techniques;
  r.peak_step = plan.peak_step;
  for (const Block& b : plan.peak_tensors) {
    r.peak_tensors.push_back({b.name, name_of(b.category), b.bytes});
  }
  return r;
}

}  // namespace thimble
