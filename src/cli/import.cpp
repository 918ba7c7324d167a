#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/streams.h"
#include "report/json.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  thimble import mobilenet_v2.onnx -o mobilenet_v2.thimble\n"
    "  thimble train --model mobilenet_v2.thimble --data flowers --train last:3\n"
    "`thimble train --model mobilenet_v2.onnx` imports by itself.\n\n";

ExitCode run_import(const Request& request) {
  note(import_onnx(request.what, request.to));
  print(request.json ? written_json(request.to) : request.to + "\n");
  return kDone;
}

}  // namespace

void add_import_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand(
      "import", "A network from ONNX, as thimble trains it; says all that it cannot take");
  command.add_option("ONNX", request.what, "The network: opset 11 to 17")->type_name("");
  add_text({command, "Output"}, "-o,--to", "FILE", request.to, "A file called *.thimble",
           "beside the ONNX file");
  add_output_flags(command, request);
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&request] {
    require(request.what.ends_with(".onnx"), "import needs a file called *.onnx, and not '",
            request.what, "'");
    if (request.to.empty()) {
      request.to = request.what.substr(0, request.what.size() - 5) + ".thimble";
    }
    request.run = run_import;
  });
}

}  // namespace thimble::cli
