#include "runtime/run_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/aside_file.h"
#include "base/error.h"
#include "base/whole_io.h"
#include "runtime/copy_whole.h"
#include "runtime/options_file.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

void write_whole(const std::string& path, const std::string& text) {
  AsideFile file(path);
  file.write(text.data(), static_cast<int64_t>(text.size()));
  file.commit();
}

std::string metrics_line(const StepMetrics& metrics) {
  ordered_json line = {{"step", metrics.step},
                       {"epoch", metrics.epoch},
                       {"loss", metrics.loss},
                       {"learning_rate", metrics.learning_rate}};
  if (metrics.test_loss) line["test_loss"] = *metrics.test_loss;
  if (metrics.test_accuracy) line["test_accuracy"] = *metrics.test_accuracy;
  if (metrics.validation_loss) line["validation_loss"] = *metrics.validation_loss;
  if (metrics.validation_accuracy) line["validation_accuracy"] = *metrics.validation_accuracy;
  if (metrics.explored) line["explored"] = *metrics.explored;
  line["resident_bytes"] = metrics.resident_bytes;
  line["seconds"] = metrics.seconds;
  return line.dump() + '\n';
}

}  // namespace

RunFolder::RunFolder(std::string path) : path_(std::move(path)) {}

std::string RunFolder::file(const char* name) const {
  require(!path_.empty(), name, ": no run folder was given");
  return path_ + "/" + name;
}

void RunFolder::make() {
  std::error_code error;
  fs::create_directories(path_, error);
  require(!error, path_, ": cannot make the run folder: ", error.message());
}

void RunFolder::create() {
  std::error_code error;
  require(!has_checkpoint(), path_,
          ": holds the checkpoint of a run; hint: go on with --resume, or use another folder");
  require(!fs::exists(model_file(), error), path_,
          ": holds a trained model; hint: use another folder");
  make();
  // What a run left that was killed before its first checkpoint. Without run.json there is no run.
  for (const char* name :
       {"run.json", "metrics.jsonl", "base.thimble", "best.safetensors", "data.json"}) {
    fs::remove(file(name), error);
    require(!error, file(name), ": cannot remove: ", error.message());
  }
}

bool RunFolder::has_checkpoint() const {
  std::error_code error;
  return !path_.empty() && fs::exists(checkpoint_file(), error);
}

bool RunFolder::has_base() const {
  std::error_code error;
  return fs::exists(base_file(), error);
}

void RunFolder::copy_base(const std::string& from) {
  std::error_code error;
  if (!fs::equivalent(from, base_file(), error)) copy_whole(from, base_file());
}

bool RunFolder::has_metrics() const {
  std::error_code error;
  const auto bytes = fs::file_size(file("metrics.jsonl"), error);
  return !error && bytes > 0;
}

std::string RunFolder::weights_file() const {
  std::error_code error;
  if (fs::exists(model_file(), error)) return model_file();
  require(has_checkpoint(), path_, ": no trained model and no checkpoint is here; hint: name the ",
          "--run folder of `thimble train`");
  return checkpoint_file();
}

bool RunFolder::has_options() const {
  std::error_code error;
  return !path_.empty() && fs::exists(file("run.json"), error);
}

void RunFolder::write_options(const TrainOptions& options) {
  thimble::write_options(file("run.json"), options);
}

TrainOptions RunFolder::read_options() const {
  TrainOptions options = thimble::read_options(file("run.json"));
  options.run_folder = path_;
  return options;
}

void RunFolder::write_plan(const std::string& text) { write_whole(file("plan.json"), text); }

void RunFolder::append_metrics(const StepMetrics& metrics) {
  const std::string path = file("metrics.jsonl");
  const std::string line = metrics_line(metrics);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  require(fd >= 0, path, ": cannot write: ", std::strerror(errno));
  const bool whole = write_all(fd, line.data(), static_cast<int64_t>(line.size()));
  const int reason = errno;
  ::close(fd);
  require(whole, path, ": cannot write: ", std::strerror(reason));
}

void RunFolder::truncate_metrics(int64_t last_step) {
  const std::string path = file("metrics.jsonl");
  std::error_code error;
  if (!fs::exists(path, error)) return;
  std::ifstream in(path);
  require(in.good(), path, ": cannot open: ", std::strerror(errno));
  AsideFile kept(path);
  int64_t number = 0;
  // A line without its end is the one that a kill cut.
  for (std::string line; std::getline(in, line) && !in.eof();) {
    ++number;
    const json metrics = json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool whole = metrics.is_object() && metrics.contains("step");
    require(whole && metrics["step"].is_number_integer(), path, ": line ", number,
            " is not an object with a step; hint: remove the line");
    if (metrics["step"].get<int64_t>() > last_step) continue;
    line += '\n';
    kept.write(line.data(), static_cast<int64_t>(line.size()));
  }
  require(!in.bad(), path, ": cannot read");
  kept.commit();
}

}  // namespace thimble
