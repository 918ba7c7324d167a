#include "report/reversibility.h"

#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/output_file.h"
#include "cli/streams.h"
#include "report/html.h"

namespace thimble::cli {
namespace {

constexpr const char* kAbout =
    "How far from the truth what a reversible network has again is, map by map";
constexpr const char* kExamples =
    "Reversible networks do not keep their maps: the backward pass has them again from what\n"
    "lies behind them. Layers that divide (batch norm, leaky ReLU) make errors larger on the\n"
    "way. One step is run on the first batch, or on noise without --data, with fresh weights\n"
    "or those of --init, and each map is compared with the one it stands for: the ratio of\n"
    "signal to noise in dB (20 dB: an error of a tenth), beside what the theory says of these\n"
    "weights (arXiv 1910.11127, corrected). All maps are kept for this as well, whatever it\n"
    "takes.\n\n"
    "Examples:\n"
    "  thimble reversibility --model layerwise_invertible --option depth=12\n"
    "  thimble reversibility --model layerwise_invertible --option slope=0.5 --batch 16\n"
    "  thimble reversibility --model hybrid_reversible --data cifar10 --html errors.html\n"
    "  thimble reversibility --model hybrid_reversible --init runs/mine/model.safetensors\n"
    "  thimble reversibility --model layerwise_invertible --min-snr 60   # with anchors\n\n";

// Of whole runs; one step of one network is looked at.
constexpr const char* kOfRuns[] = {
    "--patches-of",  "--patch-step",    "--patch-loss",       "--budget",    "--allow",
    "--without",     "--offload",       "--epochs",           "--run",       "--resume",
    "--lr",          "--momentum",      "--checkpoint-every", "--nesterov",  "--weight-decay",
    "--schedule",    "--warmup",        "--optimizer-option", "--optimizer", "--step-epochs",
    "--step-factor", "--cache-features"};

ExitCode run_reversibility(const Request& request) {
  OutputFile html("--html", request.html);
  const Reversibility found = reversibility(request.options);
  if (html.wanted()) html.write(reversibility_html(found));
  print(request.json ? to_json(found) : reversibility_text(found, {locale_is_utf8()}));
  return kDone;
}

}  // namespace

void add_reversibility_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand("reversibility", kAbout);
  add_train_flags(command, request);
  for (const char* name : kOfRuns) command.remove_option(command.get_option(name));
  const Group output = {command, "Output"};
  add_text(output, "--html", "FILE", request.html, "The ratios as a page for a browser");
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&command, &request] {
    settle_train_flags(command, request.options);
    // Chains as long as they are, unless a ratio is asked for, here or in the file.
    const bool asked = command.get_option("--min-snr")->count() > 0 || !request.config.empty();
    if (!asked) request.options.min_snr_db = -1;
    request.run = run_reversibility;
  });
}

}  // namespace thimble::cli
