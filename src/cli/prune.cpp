#include "report/prune.h"

#include <algorithm>

#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/streams.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Blocks that take more for a moment than the whole network keeps for the backward pass\n"
    "are sensitive: of these, hidden channels are removed until the block's peak, as\n"
    "`thimble profile` counts it, is the target. Those go whose activations have the smallest\n"
    "mean l2 norm on training pictures. What is trained (--train) and what stands beside the\n"
    "network (--side) decide what is kept; the file has the smaller network alone.\n\n"
    "Examples:\n"
    "  thimble prune --model mobilenet_v2.onnx --data flowers --side rep-net \\\n"
    "      --train side,head --to 2.0MB -o pruned.thimble\n"
    "  thimble prune --model net.thimble --data photos --blocks 1-4 --to 2.0MB -o small.thimble\n"
    "  thimble train --model pruned.thimble --data flowers --epochs 5   # accuracy comes back\n\n";

// Of whole runs; a network is looked at, and made smaller.
constexpr const char* kOfRuns[] = {"--patches-of",
                                   "--patch-step",
                                   "--patch-loss",
                                   "--budget",
                                   "--allow",
                                   "--without",
                                   "--offload",
                                   "--epochs",
                                   "--run",
                                   "--resume",
                                   "--lr",
                                   "--momentum",
                                   "--checkpoint-every",
                                   "--nesterov",
                                   "--weight-decay",
                                   "--schedule",
                                   "--warmup",
                                   "--optimizer-option",
                                   "--optimizer",
                                   "--step-epochs",
                                   "--min-snr",
                                   "--sparsity",
                                   "--sparse-method",
                                   "--sparse-distribution",
                                   "--sparse-format",
                                   "--sparse-every",
                                   "--sparse-drop",
                                   "--sparse-until",
                                   "--sparse-gradient",
                                   "--sparse-explored",
                                   "--step-factor",
                                   "--cache-features"};

ExitCode run_prune(const Request& request) {
  const PruneReport report = prune(request.options, request.prune);
  print(request.json ? to_json(report) : prune_text(report));
  const bool reached = std::all_of(report.blocks.begin(), report.blocks.end(),
                                   [](const PrunedBlock& b) { return b.reached; });
  return reached ? kDone : kDoesNotFit;
}

}  // namespace

void add_prune_command(CLI::App& app, Request& request) {
  CLI::App& command =
      *app.add_subcommand("prune", "Remove hidden channels until blocks take few enough bytes");
  add_prune_flags(command, request.prune);
  add_train_flags(command, request);
  for (const char* name : kOfRuns) command.remove_option(command.get_option(name));
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&command, &request] {
    settle_train_flags(command, request.options);
    require(!request.prune.to.empty(), "prune needs -o: a file called *.thimble");
    request.run = run_prune;
  });
}

}  // namespace thimble::cli
