#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/output_file.h"
#include "cli/streams.h"
#include "report/html.h"
#include "report/json.h"
#include "report/text.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  thimble profile --model mobilenet_v1 --batch 8\n"
    "  thimble profile --model resnet50 --input 64 --norm group --json\n"
    "  thimble profile --model mobilenet_v2 --batch 1 --norm frozen --side rep-net \\\n"
    "      --train side,head --html memory.html   # activation memory of each block\n"
    "  thimble profile --model irevnet --batch 8 --budget 1MiB   # of the smallest plan\n\n";

ExitCode run_profile(const Request& request) {
  OutputFile html("--html", request.html);
  const Profile found = profile(request.options);
  if (html.wanted()) html.write(profile_html(found));
  print(request.json ? to_json(found) : profile_text(found));
  return kDone;
}

}  // namespace

void add_profile_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand(
      "profile",
      "What each layer costs: parameters, FLOPs, bytes; activation memory of each block");
  add_train_flags(command, request);
  add_text({command, "Output"}, "--html", "FILE", request.html,
           "Activation memory of each block as a page for a browser");
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&command, &request] {
    settle_train_flags(command, request.options);
    request.run = run_profile;
  });
}

}  // namespace thimble::cli
