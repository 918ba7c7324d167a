#pragma once

#include <CLI/CLI.hpp>

#include "cli/request.h"

namespace thimble::cli {

// Each adds one command with its flags, help and what runs it; one file each.
void add_train_command(CLI::App& app, Request& request);
void add_plan_command(CLI::App& app, Request& request);
void add_calibrate_command(CLI::App& app, Request& request);
void add_frontier_command(CLI::App& app, Request& request);
void add_profile_command(CLI::App& app, Request& request);
void add_reversibility_command(CLI::App& app, Request& request);
void add_reproduce_command(CLI::App& app, Request& request);
void add_eval_command(CLI::App& app, Request& request);
void add_prune_command(CLI::App& app, Request& request);
void add_import_command(CLI::App& app, Request& request);
void add_export_command(CLI::App& app, Request& request);
void add_predict_command(CLI::App& app, Request& request);
void add_list_command(CLI::App& app, Request& request);

}  // namespace thimble::cli
