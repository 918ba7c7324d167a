// thimble-onnx: files of ONNX to files of thimble and back, in a program of its own, so that
// neither libonnx nor a whole model in memory is part of a training process.
#include <sys/stat.h>

#include <algorithm>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "onnx/convert_files.h"
#include "onnx/limits.h"

namespace {

using namespace thimble;

enum ExitCode : int { kDone = 0, kFailed = 1, kBadInput = 2 };

constexpr const char* kUsage =
    "Usage:\n"
    "  thimble-onnx import IN.onnx OUT.thimble   a network and its weights, for thimble to train\n"
    "  thimble-onnx export IN.thimble OUT.onnx   the same network, for others to run\n"
    "  thimble-onnx check FILE.onnx...           whether they would be imported; writes nothing\n"
    "Exit codes: 0 done, 2 wrong usage or bad input, 1 anything else.\n";

constexpr size_t kLongestMessage = size_t{1} << 16;
constexpr int64_t kMemory = int64_t{192} << 20;  // beside some times the file

// Memory in proportion to the largest file.
void limit_memory_for(const std::vector<std::string>& paths) {
  int64_t largest = 0;
  for (const std::string& path : paths) {
    struct stat info = {};
    if (stat(path.c_str(), &info) == 0) largest = std::max<int64_t>(largest, info.st_size);
  }
  limit_memory(kMemory + 6 * largest);
}

// Names come from the file and may hold anything: what is no text becomes '?'.
std::string printable(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size() && out.size() < kLongestMessage;) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    bool good = lead == '\n' || (lead >= 0x20 && lead < 0x7F) || (lead >= 0xC2 && lead < 0xF5);
    for (size_t k = 1; k < length; ++k) {
      good = good && i + k < text.size() && (text[i + k] & 0xC0) == 0x80;
    }
    out += good ? text.substr(i, length) : "?";
    i += good ? length : 1;
  }
  return out;
}

// Calls `body`; what it throws becomes a message and an exit code.
template <class Body>
int guarded(const std::string& path, const Body& body) {
  try {
    body();
    return kDone;
  } catch (const UserError& e) {
    std::cerr << "thimble-onnx: error: " << printable(e.what()) << '\n';
    return kBadInput;
  } catch (const std::bad_alloc&) {
    std::cerr << "thimble-onnx: error: " << path << ": asks for more memory than its size allows\n";
    return kBadInput;
  } catch (const std::exception& e) {
    std::cerr << "thimble-onnx: error: " << printable(e.what())
              << "\nThis is a bug in thimble: please report it.\n";
    return kFailed;
  }
}

void print_notes(const std::string& path, const std::vector<std::string>& notes) {
  for (const std::string& note : notes) std::cerr << path << ": note: " << printable(note) << '\n';
}

int check_all(const std::vector<std::string>& paths) {
  int worst = kDone;
  for (const std::string& path : paths) {
    const int code = guarded(path, [&] {
      print_notes(path, check_file(path));
      std::cout << path << ": good\n";
    });
    if (code != kDone) std::cout << path << ": exit code " << code << std::endl;
    worst = std::max(worst, code == kFailed ? kFailed + kBadInput : code);
  }
  return worst > kBadInput ? kFailed : worst;
}

int run(const std::string& verb, const std::vector<std::string>& paths) {
  if (verb == "check" && !paths.empty()) {
    limit_memory_for(paths);
    return check_all(paths);
  }
  const bool is_import = verb == "import";
  if ((!is_import && verb != "export") || paths.size() != 2) {
    std::cerr << "thimble-onnx: error: wrong usage\n" << kUsage;
    return kBadInput;
  }
  limit_memory_for({paths[0]});
  return guarded(paths[0], [&] {
    if (is_import) {
      print_notes(paths[0], import_file(paths[0], paths[1]));
    } else {
      export_file(paths[0], paths[1]);
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 1 && (args[0] == "--help" || args[0] == "-h")) {
    std::cout << kUsage;
    return kDone;
  }
  return run(args.empty() ? "" : args[0], {args.begin() + (args.empty() ? 0 : 1), args.end()});
}
