#include "runtime/onnx_program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "base/hash.h"
#include "base/program.h"
#include "data/file_cache.h"
#include "runtime/network_file.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "thimble-onnx";

std::string program() {
  if (const char* said = std::getenv("THIMBLE_ONNX"); said != nullptr && *said != '\0') return said;
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error);
  if (!error && ::access((own.parent_path() / kProgram).c_str(), X_OK) == 0) {
    return own.parent_path() / kProgram;
  }
  return kProgram;
}

// Where the system finds it: the folders of PATH in order, unless a folder is said.
std::string place_of_program() {
  const std::string name = program();
  const char* path = std::getenv("PATH");
  if (name.find('/') != name.npos || path == nullptr) return name;
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string place = (fs::path(folder.empty() ? "." : folder) / name).string();
    if (::access(place.c_str(), X_OK) == 0) return place;
  }
  return name;
}

// Another program may convert otherwise.
std::string mark_of_program() {
  struct stat status = {};
  ::stat(place_of_program().c_str(), &status);
  return hex_of(
      hash_of(str_cat(status.st_size, ' ', status.st_mtim.tv_sec, ' ', status.st_mtim.tv_nsec)));
}

// What it said, without its name before it and the end of the line.
std::string message_of(std::string errors) {
  const std::string prefix = str_cat(kProgram, ": error: ");
  if (errors.starts_with(prefix)) errors.erase(0, prefix.size());
  while (!errors.empty() && errors.back() == '\n') errors.pop_back();
  return errors;
}

std::string run(const char* what, const std::string& from, const std::string& to) {
  const std::string path = program();
  const ProgramResult result = run_program({path, what, from, to});
  require(result.started && result.exit_code != 127, from, ": ", path,
          ", which reads and writes ONNX, is not there; it is built when libonnx-dev is installed; "
          "hint: set THIMBLE_ONNX to where it is");
  require(result.exit_code == 0 || result.exit_code == 2, from, ": ", path, " ended with code ",
          result.exit_code, result.errors.empty() ? "" : ": ", message_of(result.errors));
  require(result.exit_code == 0, message_of(result.errors));
  return result.errors;
}

}  // namespace

std::string onnx_to_network(const std::string& onnx, const std::string& network) {
  return run("import", onnx, network);
}

void network_to_onnx(const std::string& network, const std::string& onnx) {
  run("export", network, onnx);
}

std::string converted_onnx(const std::string& onnx) {
  const std::string file = cached_file(onnx, "-" + mark_of_program() + kNetworkSuffix);
  if (::access(file.c_str(), R_OK) != 0) onnx_to_network(onnx, file);
  return file;
}

}  // namespace thimble
