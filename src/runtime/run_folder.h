#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "thimble/thimble.h"

namespace thimble {

// One line of metrics.jsonl. Numbers that are not finite are written as null.
struct StepMetrics {
  int64_t step = 0;   // steps done since the run began, over all epochs
  int64_t epoch = 0;  // zero-based
  double loss = 0;    // on training examples
  double learning_rate = 0;
  std::optional<double> test_loss = {};            // on the test split, when it was evaluated
  std::optional<double> test_accuracy = {};        // of 1
  std::optional<double> validation_loss = {};      // on the validation part, where there is one
  std::optional<double> validation_accuracy = {};  // of 1
  std::optional<double> explored = {};             // share of sparse weights' positions, when noted
  int64_t resident_bytes = 0;                      // of the process
  double seconds = 0;                              // since the run began
};

// The folder of one training run. Files are written aside and moved into place, so each is the old
// or the new one, whole, whenever the process is killed; metrics.jsonl is appended to. All
// functions throw UserError with the file's name when the disk is full or cannot be written.
//
//   run.json                what was asked for: TrainOptions
//   plan.json               what the planner chose
//   data.json               names of classes, and how pixels become numbers (runtime/run_data.h)
//   metrics.jsonl           a line per epoch or per some steps
//   checkpoint.safetensors  to resume from
//   base.thimble            the network that it began with, when that came from a file
//   best.safetensors        with patience: the weights of the best epoch so far
//   features.bin            with cache_features: what the frozen part makes of each picture
//   features.json           of which weights, data and kernels that is
//   model.safetensors       the trained model
class RunFolder {
 public:
  // An empty path stands for no folder: it has no checkpoint, and all else throws UserError.
  explicit RunFolder(std::string path);

  // Makes the folder when there is none. Take its RunLock before anything is written to it.
  void make();
  // For a new run: makes the folder and drops the metrics of a run that was killed before its first
  // checkpoint. Throws UserError when the folder holds a checkpoint or a trained model.
  void create();

  const std::string& path() const { return path_; }
  std::string checkpoint_file() const { return file("checkpoint.safetensors"); }
  // The network that training began with, when that came from a file.
  std::string base_file() const { return file("base.thimble"); }
  bool has_base() const;
  void copy_base(const std::string& from);
  std::string model_file() const { return file("model.safetensors"); }
  std::string data_file() const { return file("data.json"); }
  std::string best_file() const { return file("best.safetensors"); }
  std::string features_file() const { return file("features.bin"); }
  std::string features_origin_file() const { return file("features.json"); }
  // The trained model, or else the last checkpoint. Throws UserError when there is neither.
  std::string weights_file() const;
  bool has_checkpoint() const;
  bool has_metrics() const;  // of at least one epoch
  bool has_options() const;  // a run was begun here

  // All options but `run_folder` and `resume`, which belong to the call and not to the run: they
  // are read as this folder and false. A field that an older run.json lacks has its usual value.
  void write_options(const TrainOptions& options);
  TrainOptions read_options() const;

  void write_plan(const std::string& json);

  void append_metrics(const StepMetrics& metrics);
  // Drops the lines after `last_step`, and a last line that was cut by a kill.
  void truncate_metrics(int64_t last_step);

 private:
  std::string file(const char* name) const;

  std::string path_;
};

}  // namespace thimble
