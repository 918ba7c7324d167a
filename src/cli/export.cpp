#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/streams.h"
#include "report/json.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  thimble export runs/mobilenet_v2-flowers --to flowers.onnx\n"
    "  thimble export runs/lenet-digits --to lenet.safetensors\n"
    "  thimble export mobilenet_v2.thimble --to mobilenet_v2.onnx\n\n";

ExitCode run_export(const Request& request) {
  export_model(request.what, request.to);
  print(request.json ? written_json(request.to) : request.to + "\n");
  return kDone;
}

}  // namespace

void add_export_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand(
      "export", "A trained model as ONNX, safetensors or a network that thimble trains on");
  command.add_option("RUN", request.what, "What `thimble train` has left, or a *.thimble file")
      ->type_name("");
  add_text({command, "Output"}, "-o,--to", "FILE", request.to,
           "A file called *.onnx, *.safetensors or *.thimble", "");
  add_output_flags(command, request);
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&request] {
    require(!request.what.empty(), "export needs the folder of a run, or a *.thimble file");
    require(!request.to.empty(),
            "export needs --to: a file called *.onnx, *.safetensors or "
            "*.thimble");
    request.run = run_export;
  });
}

}  // namespace thimble::cli
