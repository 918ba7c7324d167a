#include "cli/flags.h"

#include <functional>
#include <map>

#include "base/bytes.h"
#include "cli/values.h"

namespace thimble::cli {
namespace {

constexpr int64_t kMany = 1'000'000;
constexpr int64_t kMostThreads = 1024;

using Setter = std::function<void(const std::string& flag, const std::string& text)>;

CLI::Option* add(const Group& group, const std::string& name, const char* type, const char* help,
                 const std::string& usual, const Setter& set) {
  CLI::Option* option = group.command.add_option_function<std::string>(
      name, [name, set](const std::string& text) { set(name, text); }, help);
  return option->type_name(type)->default_str(usual)->group(group.title)->take_last();
}

CLI::Option* add_real(const Group& group, const char* name, double& field, const Interval& interval,
                      const char* help, const std::string& usual = "") {
  return add(group, name, "X", help, usual.empty() ? str_cat(field) : usual,
             [&field, interval](const std::string& flag, const std::string& text) {
               field = parse_real(flag, text, interval);
             });
}

CLI::Option* add_choice(const Group& group, const char* name, std::string& field,
                        const std::vector<std::string>& choices, const char* help,
                        const std::string& usual = "") {
  std::string type;
  for (const std::string& c : choices) type += (type.empty() ? "" : "|") + c;
  return add(group, name, type.c_str(), help, usual.empty() ? field : usual,
             [&field, choices](const std::string& flag, const std::string& text) {
               field = parse_choice(flag, text, choices);
             });
}

// A flag that may be given several times, as KEY=VALUE.
void add_pairs(const Group& group, const char* name, std::map<std::string, std::string>& field,
               const char* help) {
  group.command
      .add_option_function<std::vector<std::string>>(
          name,
          [&field, name](const std::vector<std::string>& given) {
            std::map<std::string, std::string> pairs;
            for (const std::string& text : given) {
              const auto [key, value] = parse_pair(name, text);
              require(pairs.emplace(key, value).second, name, " ", key, " is given twice");
              field[key] = value;  // instead of a --config's
            }
          },
          help)
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->group(group.title);
}

std::vector<std::string> names_in(const Listing& listing) {
  std::vector<std::string> names;
  for (const auto& entry : listing) names.push_back(entry.first);
  return names;
}

// "0.05; adam, adamw: 0.001"
std::string usual_learning_rates(const std::string& usual_optimizer) {
  const double usual = usual_learning_rate(usual_optimizer);
  std::map<double, std::vector<std::string>> others;
  for (const std::string& name : names_in(list_optimizers())) {
    const double rate = usual_learning_rate(name);
    if (rate != usual) others[rate].push_back(name);
  }
  std::string text = str_cat(usual);
  for (const auto& [rate, names] : others) text += str_cat("; ", joined(names), ": ", rate);
  return text;
}

}  // namespace

void add_integer(const Group& group, const char* name, int64_t& field, int64_t least, int64_t most,
                 const char* help, const std::string& usual) {
  add(group, name, "N", help, usual.empty() ? std::to_string(field) : usual,
      [&field, least, most](const std::string& flag, const std::string& text) {
        field = parse_integer(flag, text, least, most);
      });
}

CLI::Option* add_text(const Group& group, const char* name, const char* type, std::string& field,
                      const char* help, const std::string& usual) {
  return add(group, name, type, help, usual.empty() ? field : usual,
             [&field](const std::string& flag, const std::string& text) {
               require(!text.empty(), flag, " is empty");
               field = text;
             });
}

void add_switch(const Group& group, const char* name, bool& field, const char* help) {
  group.command
      .add_flag_callback(
          name, [&field] { field = true; }, help)
      ->group(group.title)
      ->disable_flag_override();
}

void add_model_flags(CLI::App& command, ModelChoice& model) {
  const Group group = {command, "Model"};
  add_text(group, "--model", "NAME|FILE", model.name,
           "The network: a name of `thimble list models`, or a file: *.onnx or *.thimble");
  add_integer(group, "--batch", model.batch, 1, 65536, "Examples in a step", "the model's usual");
  add(group, "--input", "SIZE", "Images: 224, 32x32 or, with channels, 1x28x28",
      "the data's, or the model's usual",
      [&model](const std::string& flag, const std::string& text) {
        const InputSize size = parse_input(flag, text);
        model.channels = size.channels;
        model.height = size.height;
        model.width_px = size.width;
      });
  add_integer(group, "--classes", model.classes, 2, kMany, "Classes to tell apart",
              "the data's, or the model's usual");
  add_real(group, "--width", model.width, {0, 16, true}, "Multiplies the channels of every layer");
  add_text(
      group, "--train", "RULES", model.train,
      "What is trained, with commas between: all, head, last:K layers, bias, norm, side, names "
      "with * and ?, or !those not; [0:8] or [1/4] behind one: those channels alone; what begins "
      "anew always is");
  add_choice(group, "--side", model.side, {"none", "rep-net", "rep-net-wide", "tinytl"},
             "A small network beside the model, which is added to what its blocks make; with "
             "--train side,head nothing else keeps what backward reads");
  add_choice(group, "--norm", model.norm, {"batch", "frozen", "group"}, "Normalisation");
  add_real(group, "--label-smoothing", model.label_smoothing, {0, 1, false, true},
           "Share of the target spread over all classes");
  add_pairs(group, "--option", model.variants,
            "The model's own options, such as activation=leaky_relu of resnet18_cifar; see "
            "`thimble list models`; may be given several times");
}

void add_sparse_flags(CLI::App& command, SparseChoice& sparse) {
  const Group group = {command, "Sparse training"};
  add_real(group, "--sparsity", sparse.sparsity, {0, 1, false, true},
           "Share of weights that do not exist, such as 0.9", "dense weights");
  add_choice(group, "--sparse-method", sparse.method, {"static", "set", "rigl", "mest"},
             "Which weights exist: as drawn, or dropped where small and grown at random (set) or "
             "where the gradient is largest (rigl); mest is set that keeps small weights of a "
             "large gradient");
  add_choice(group, "--sparse-distribution", sparse.distribution, {"uniform", "erk"},
             "How layers share them; erk leaves more to small layers (not with N:M)");
  add_text(group, "--sparse-format", "positions|blocks|N:M", sparse.format,
           "One by one; or 16 neighbouring outputs together where there are so many; or N of each "
           "M neighbouring input channels, such as 2:4, which says the --sparsity as well");
  add_integer(group, "--sparse-every", sparse.every, 1, kMany, "Steps between changes");
  add_real(group, "--sparse-drop", sparse.drop, {0, 1, true, true},
           "Share that the first change replaces");
  add_real(group, "--sparse-until", sparse.until, {0, 1},
           "Share of the training behind which nothing changes");
  add_real(group, "--sparse-gradient", sparse.gradient, {0, 1e9},
           "What a gradient counts beside a magnitude when mest drops");
  add_switch(group, "--sparse-explored", sparse.explored,
             "Note which weights ever existed, a bit for each, and report their share");
}

void add_patch_flags(CLI::App& command, PatchChoice& patches) {
  const Group group = {command, "Patches"};
  add(group, "--patches-of", "SIZE",
      "Pictures are made this large, such as 224 or 96x128, and cut into patches of the size that "
      "the model sees; their mean answers",
      "pictures are not cut", [&patches](const std::string& flag, const std::string& text) {
        const InputSize size = parse_input(flag, text);
        require(size.channels == 0, flag, " is '", text, "', needs a size without channels");
        patches.height = size.height;
        patches.width_px = size.width;
      });
  add_integer(group, "--patch-step", patches.step, 1, 65536,
              "Pixels from one patch to the next; less than a patch: they overlap",
              "the patch's size");
  add_choice(group, "--patch-loss", patches.loss, {"each", "mean"},
             "each: every patch has its picture's label; mean: the loss of the mean of their "
             "answers, exact with one patch at a time");
}

void add_stack_flags(CLI::App& command, StackRequest& stack) {
  const Group group = {command, "Stack"};
  add_text(group, "--data", "NAME|FOLDER", stack.data,
           "Examples: a name of `thimble list data`, or a folder");
  add(group, "--only", "NAME,...", "Of these configurations alone", "all",
      [&stack](const std::string&, const std::string& text) { stack.only = split(text, ','); });
  add_switch(group, "--quick", stack.quick,
             "Small pictures and batches: shows that all of it runs, and measures nothing of use");
  add_switch(group, "--accuracy", stack.accuracy, "Also train each to its end");
  add_integer(group, "--steps", stack.steps, 1, kMany, "Measured for memory and time");
  add(group, "--threads", "N", "Threads that compute", "all cores",
      [&stack](const std::string& flag, const std::string& text) {
        stack.threads = static_cast<int>(parse_integer(flag, text, 1, kMostThreads));
      });
  add_text(group, "--run", "FOLDER", stack.run_folder, "Where --accuracy keeps its runs",
           "runs/<stack>");
}

// More than 0.
int64_t parse_bytes_of(const std::string& flag, const std::string& text) {
  int64_t bytes = 0;
  try {
    bytes = parse_bytes(text);
  } catch (const UserError& e) {
    throw UserError(str_cat(flag, ": ", e.what()));
  }
  require(bytes > 0, flag, " is '", text, "', needs more than 0 bytes");
  return bytes;
}

void add_decode_flag(CLI::App& command, DataChoice& data) {
  const Group group = {command, "Data"};
  add(group, "--decode-memory", "BYTES",
      "For decoding one picture; a progressive JPEG takes about 4 bytes a pixel",
      format_bytes(data.decode_bytes), [&data](const std::string& flag, const std::string& text) {
        data.decode_bytes = parse_bytes_of(flag, text);
      });
}

void add_prune_flags(CLI::App& command, PruneChoice& prune) {
  const Group group = {command, "Pruning"};
  add(group, "--to", "BYTES", "Peak activation memory of a block, of one example, such as 2.0MB",
      "temporary bytes up to all that is kept",
      [&prune](const std::string& flag, const std::string& text) {
        prune.target_bytes = parse_bytes_of(flag, text);
      });
  add_text(group, "--blocks", "LIST", prune.blocks,
           "auto: the sensitive ones above the target; all: whichever are; or numbers and names, "
           "such as 1-4,block7");
  add_integer(group, "--examples", prune.examples, 1, kMany,
              "Training pictures by which channels are ranked");
  add_text(group, "-o,--out", "FILE", prune.to, "A file called *.thimble", "");
}

void add_data_flags(CLI::App& command, DataChoice& data) {
  const Group group = {command, "Data"};
  add_text(group, "--data", "NAME|FOLDER", data.path,
           "Examples: a name of `thimble list data`, or a folder");
  add_choice(group, "--pixels", data.pixels, names_in(list_pixels()),
             "How pixels become numbers; caffe: blue first, less the mean of ImageNet",
             "as the model's file says, or by the data's mean");
  add_switch(group, "--flip", data.flip, "Mirror training images at random");
  add_integer(group, "--crop", data.crop_pad, 0, 1024,
              "Shift training images at random by at most N pixels");
  add_real(group, "--validation", data.validation, {0, 1, false, true},
           "Share of each class that is not trained on; each epoch is evaluated on it, and the "
           "test split once, at the end");
  add_choice(group, "--balance", data.balance, {"none", "loss", "draw"},
             "Of classes that are not equally frequent: rare ones count more in the loss, or are "
             "drawn as often as the others");
  add_switch(group, "--skip-bad", data.skip_bad, "Go on when a file is broken, and count it");
  add_decode_flag(command, data);
}

void add_optimizer_flags(CLI::App& command, OptimizerChoice& optimizer) {
  const Group group = {command, "Optimizer"};
  add_choice(group, "--optimizer", optimizer.name, names_in(list_optimizers()), "How weights move");
  add_real(group, "--lr", optimizer.learning_rate, {0, 1000, true}, "Learning rate",
           usual_learning_rates(optimizer.name));
  add_real(group, "--momentum", optimizer.momentum, {0, 1, false, true}, "Of sgd");
  add_switch(group, "--nesterov", optimizer.nesterov, "Nesterov's momentum, of sgd");
  add_real(group, "--weight-decay", optimizer.weight_decay, {0, 1000}, "Pulls weights to zero");
  add_pairs(group, "--optimizer-option", optimizer.options,
            "Its other settings, such as beta1=0.95; see `thimble list optimizers`; may be given "
            "several times");
  add_choice(group, "--schedule", optimizer.schedule, {"constant", "step", "cosine"},
             "Of the learning rate");
  add_real(group, "--warmup", optimizer.warmup_epochs, {0, 1e6},
           "Epochs in which the learning rate rises from 0");
  add(group, "--step-epochs", "N,N,...", "With --schedule step: when the rate falls", "",
      [&optimizer](const std::string& flag, const std::string& text) {
        optimizer.step_epochs = parse_epochs(flag, text);
      });
  add_real(group, "--step-factor", optimizer.step_factor, {0, 1, true},
           "With --schedule step: by what it is multiplied then");
}

void add_training_flags(CLI::App& command, TrainOptions& options) {
  const Group group = {command, "Training"};
  add_integer(group, "--epochs", options.epochs, 1, kMany, "Passes over the data");
  add_integer(group, "--patience", options.patience, 1, kMany,
              "End after so many epochs without a better accuracy (of equal ones: loss) on the "
              "part of --validation, and keep the best weights",
              "all epochs, and the last weights");
  add_switch(group, "--cache-features", options.cache_features,
             "What the frozen part makes of each training picture is computed once and kept in a "
             "file of the run; steps read that");
  add(group, "--seed", "N", "Same seed and threads: same bits", std::to_string(options.seed),
      [&options](const std::string& flag, const std::string& text) {
        options.seed = parse_seed(flag, text);
      });
  add_text(group, "--run", "FOLDER", options.run_folder,
           "Where the model, checkpoints and metrics go", "runs/<model>-<data>");
  add_text(group, "--init", "FILE", options.initial_weights,
           "First weights, from a safetensors file");
  add_switch(group, "--resume", options.resume, "Continue the run in --run, to the same bits");
  add_integer(group, "--checkpoint-every", options.checkpoint_every, 1, int64_t{1} << 40,
              "Steps between checkpoint files", "each epoch");
}

void add_machine_flags(CLI::App& command, TrainOptions& options) {
  const Group group = {command, "Machine"};
  add(group, "--budget", "BYTES", "Peak memory of the whole process, such as 96MiB", "no bound",
      [&options](const std::string& flag, const std::string& text) {
        options.budget_bytes = parse_bytes_of(flag, text);
      });
  add(group, "--threads", "N", "Threads that compute", "all cores",
      [&options](const std::string& flag, const std::string& text) {
        options.threads = static_cast<int>(parse_integer(flag, text, 1, kMostThreads));
      });
  std::vector<std::string> choices = names_in(list_backends());
  choices.insert(choices.begin(), "auto");
  add_choice(group, "--backend", options.backend, choices, "Whose kernels");
}

// What only training can do to fit.
void add_fitting_flags(CLI::App& command, TrainOptions& options) {
  const Group group = {command, "Machine"};
  add(group, "--allow", "NAME,...",
      "What may change the result to fit; see "
      "`thimble list approximations`",
      "nothing", [&options](const std::string&, const std::string& text) {
        options.allow = split(text, ',');
      });
  add(group, "--without", "NAME,...",
      "Techniques not to use, such as microbatch; see `thimble list techniques`",
      "the planner chooses", [&options](const std::string&, const std::string& text) {
        options.without = split(text, ',');
      });
  add(group, "--min-snr", "dB|any",
      "Of maps that are had again instead of kept: those predicted to have a lower ratio of "
      "signal to noise are kept",
      str_cat(options.min_snr_db, "dB"),
      [&options](const std::string& flag, const std::string& text) {
        const std::string number = text.ends_with("dB") ? text.substr(0, text.size() - 2) : text;
        options.min_snr_db = text == "any" ? -1 : parse_integer(flag, number, 1, 140);
      });
  add_text(group, "--offload", "FOLDER", options.offload_folder,
           "Page tensors to a file there to fit: same result; writes to storage in every step",
           "nothing is paged");
}

void add_output_flags(CLI::App& command, Request& request) {
  const Group group = {command, "Output"};
  add_switch(group, "--json", request.json, "One JSON object on standard output, nothing else");
}

void add_train_flags(CLI::App& command, Request& request) {
  TrainOptions& options = request.options;
  // Read before the flags, which change what it says: see parse_arguments.
  add_text({command, "Model"}, "--config", "FILE", request.config,
           "Options from a JSON file, such as a run's run.json; flags come on top");
  add_model_flags(command, options.model);
  add_sparse_flags(command, options.sparse);
  add_patch_flags(command, options.patches);
  add_data_flags(command, options.data);
  add_machine_flags(command, options);
  add_fitting_flags(command, options);
  add_training_flags(command, options);
  add_optimizer_flags(command, options.optimizer);
  add_output_flags(command, request);
}

void settle_train_flags(const CLI::App& command, TrainOptions& options) {
  const auto given = [&](const char* name) {  // of those that the command has
    const CLI::Option* option = command.get_option_no_throw(name);
    return option != nullptr && option->count() > 0;
  };
  OptimizerChoice& o = options.optimizer;
  // A switch of a --config whose optimizer a flag has changed.
  if (o.name != "sgd" && !given("--nesterov")) o.nesterov = false;
  if (o.name != "sgd") {
    require(!given("--momentum") && !o.nesterov, given("--momentum") ? "--momentum" : "--nesterov",
            " belongs to --optimizer sgd, and --optimizer is ", o.name);
  }
  require(!o.nesterov || o.momentum > 0, "--nesterov needs a --momentum above 0");
  require(o.schedule != "step" || !o.step_epochs.empty(),
          "--schedule step needs --step-epochs, such as --step-epochs 30,60,80");
  for (const char* name : {"--step-epochs", "--step-factor"}) {
    require(o.schedule == "step" || !given(name), name,
            " belongs to --schedule step, and --schedule is ", o.schedule);
  }
  // N:M says the sparsity; one of a --config belongs to the format that stood there.
  const bool in_groups = options.sparse.in_groups();
  if (given("--sparse-format") && in_groups && !given("--sparsity")) options.sparse.sparsity = 0;
  if (given("--sparsity") && options.sparse.sparsity == 0 && in_groups) {
    require(!given("--sparse-format"), "--sparsity 0 is dense, and --sparse-format is ",
            options.sparse.format, "; leave one of them out");
    options.sparse.format = "positions";
  }
  require(!in_groups || !given("--sparse-distribution"),
          "--sparse-distribution does not go with --sparse-format ", options.sparse.format,
          ", which leaves the same share to each layer");
  for (const char* name :
       {"--sparse-method", "--sparse-distribution", "--sparse-format", "--sparse-every",
        "--sparse-drop", "--sparse-until", "--sparse-gradient", "--sparse-explored"}) {
    const bool sparse = options.sparse.sparsity > 0 || in_groups;
    require(sparse || !given(name), name,
            " says how weights are sparse, and needs --sparsity, such as --sparsity 0.9, or "
            "--sparse-format N:M, such as 2:4");
  }
  require(options.sparse.method == "mest" || !given("--sparse-gradient"),
          "--sparse-gradient belongs to --sparse-method mest, and --sparse-method is ",
          options.sparse.method);
  require(!options.resume || !given("--init"),
          "--resume continues from the run's checkpoint file: leave out --init");
}

}  // namespace thimble::cli
