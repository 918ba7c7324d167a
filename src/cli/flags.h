#pragma once

#include <CLI/CLI.hpp>

#include "cli/request.h"

namespace thimble::cli {

// The flags of each command: one entry gives name, kind of value, help, default and what is
// allowed.
void add_model_flags(CLI::App& command, ModelChoice& model);
void add_sparse_flags(CLI::App& command, SparseChoice& sparse);
void add_patch_flags(CLI::App& command, PatchChoice& patches);
void add_stack_flags(CLI::App& command, StackRequest& stack);
void add_prune_flags(CLI::App& command, PruneChoice& prune);
void add_data_flags(CLI::App& command, DataChoice& data);
void add_optimizer_flags(CLI::App& command, OptimizerChoice& optimizer);
void add_training_flags(CLI::App& command, TrainOptions& options);
void add_decode_flag(CLI::App& command, DataChoice& data);
void add_machine_flags(CLI::App& command, TrainOptions& options);
void add_fitting_flags(CLI::App& command, TrainOptions& options);
void add_output_flags(CLI::App& command, Request& request);

// All of the above: `train`, `plan` and `profile` take the same flags.
void add_train_flags(CLI::App& command, Request& request);

// Checks flags against each other and fills in what depends on several of them, after parsing.
void settle_train_flags(const CLI::App& command, TrainOptions& options);

// Where flags stand in the help of a command.
struct Group {
  CLI::App& command;
  const char* title;
};

// One flag, for those that a single command has. `usual` says what happens without the flag when
// the field's first value does not.
void add_integer(const Group& group, const char* name, int64_t& field, int64_t least, int64_t most,
                 const char* help, const std::string& usual = "");
CLI::Option* add_text(const Group& group, const char* name, const char* type, std::string& field,
                      const char* help, const std::string& usual = "");
void add_switch(const Group& group, const char* name, bool& field, const char* help);

}  // namespace thimble::cli
