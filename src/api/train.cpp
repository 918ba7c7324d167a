#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "api/explain.h"
#include "planner/build.h"
#include "report/json.h"
#include "runtime/options_file.h"
#include "runtime/run_data.h"
#include "runtime/run_folder.h"
#include "runtime/run_lock.h"
#include "runtime/safetensors.h"
#include "runtime/training.h"

namespace thimble {
namespace {

// Refuses to mix two runs in one folder, before anything is planned or written. `lock` is taken
// here when the folder exists: what is read of it must not change under our hands.
void open_folder(const TrainOptions& options, std::optional<RunLock>& lock) {
  if (options.run_folder.empty()) {
    require(!options.resume, "--resume needs the folder of the run to continue");
    return;
  }
  std::error_code error;
  if (std::filesystem::is_directory(options.run_folder, error)) lock.emplace(options.run_folder);
  const RunFolder folder(options.run_folder);
  if (options.resume) {
    require(folder.has_checkpoint() || folder.has_options(), options.run_folder,
            " holds no run to resume; leave --resume out to begin one");
    require(folder.has_checkpoint() || !folder.has_metrics(), options.run_folder,
            " holds the metrics of a run, but no checkpoint to go on from; hint: put its "
            "checkpoint.safetensors back, or begin another run from its weights with --init");
    check_resumable(folder.read_options(), options);
    return;
  }
  require(!folder.has_checkpoint(), options.run_folder,
          " already holds a run; add --resume to continue it, or name another folder");
}

// What the checkpoint was trained with; nothing when there is none yet.
std::optional<Numerics> numerics_of(const std::string& run_folder) {
  const RunFolder folder(run_folder);
  if (!folder.has_checkpoint()) return std::nullopt;
  const auto metadata = SafetensorsReader(folder.checkpoint_file()).metadata();
  const auto it = metadata.find("numerics");
  require(it != metadata.end(), folder.checkpoint_file(),
          ": does not say how the batch was split: an older thimble wrote it; begin a new run from "
          "its weights with --init");
  try {
    return parse_numerics(it->second);
  } catch (const UserError& e) {
    throw UserError(str_cat(folder.checkpoint_file(), ": ", e.what()));
  }
}

}  // namespace

TrainReport train(const TrainOptions& options,
                  const std::function<void(const Progress&)>& on_progress,
                  const std::function<bool()>& should_stop,
                  const std::function<void(const PlanReport&, const TrainOptions&)>& on_plan) {
  require(!options.data.path.empty(),
          "training needs data: a folder or a name such as "
          "fashion-mnist");
  require(options.patience == 0 || !options.run_folder.empty(),
          "patience needs a run folder, where the weights of the best epoch wait");
  require(!options.cache_features || !options.run_folder.empty(),
          "cached features need a run folder, where their file is");
  Setup setup = prepare(options, true);
  std::optional<RunLock> lock;  // until training has ended
  open_folder(setup.options, lock);
  if (options.resume) setup.request.numerics = numerics_of(options.run_folder);
  if (setup.request.numerics) {
    const int64_t parts = setup.request.numerics->microbatches;
    require(holds_pictures(setup.request, parts), options.run_folder,
            ": its checkpoint says that a batch of ", setup.options.model.batch, " was split in ",
            parts, " equal parts; it is broken, begin a new run");
  }
  const Plan plan = make_plan(std::move(setup.request), setup.machine);
  if (!plan.fits) {
    TrainReport refused;
    refused.plan = report_of(plan);
    // A run that goes on keeps its approximations.
    if (!options.resume) try_allowances(refused.plan, options);
    return refused;
  }
  if (on_plan) on_plan(report_of(plan), setup.options);
  if (!options.run_folder.empty()) {
    RunFolder folder(options.run_folder);
    folder.make();
    if (!lock) lock.emplace(options.run_folder);
    // A run that goes on may have nothing but its copy of the network.
    if (!options.resume) folder.create();
    if (!setup.model_file.empty()) folder.copy_base(setup.model_file);
    folder.write_options(setup.options);
    write_run_data(folder.data_file(), run_data_of(setup));
    folder.write_plan(to_json(report_of(plan)));
  }
  return run_training(setup, plan, {on_progress, should_stop});
}

}  // namespace thimble
