#include <filesystem>
#include <set>

#include "base/aside_file.h"
#include "base/error.h"
#include "runtime/copy_whole.h"
#include "runtime/model_choice.h"
#include "runtime/network_file.h"
#include "runtime/onnx_program.h"
#include "runtime/run_folder.h"
#include "runtime/safetensors.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

// A file that is gone when the export has ended, or else when the next one to `to` begins.
class PassingFile {
 public:
  explicit PassingFile(const std::string& to) : path_(aside_path(to)) { remove_stale_asides(to); }
  ~PassingFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  PassingFile(const PassingFile&) = delete;
  PassingFile& operator=(const PassingFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The network of a run, with the weights that it has trained.
void write_run(const RunFolder& folder, const std::string& to) {
  const TrainOptions run = folder.read_options();
  const ModelSource source = find_source(run.model, base_of_run(folder.path(), run.model));
  Network network = network_of(source, run.model);
  std::set<std::string> read;
  for (const NetworkLayer& layer : network.layers) {
    read.insert(layer.inputs.begin(), layer.inputs.end());
  }
  std::erase_if(network.parameters,
                [&](const NetworkParameter& p) { return !read.contains(p.name); });
  for (NetworkParameter& p : network.parameters) p.fresh = false;
  const SafetensorsReader weights(folder.model_file());
  std::vector<float> values;
  write_network(to, network, [&](const NetworkParameter& p) {
    values.resize(static_cast<size_t>(p.shape.elements()));
    weights.read(p.name, values.data(), static_cast<int64_t>(values.size() * sizeof(float)));
    return values.data();
  });
}

}  // namespace

void export_model(const std::string& from, const std::string& to) {
  const bool onnx = is_onnx_file(to);
  require(onnx || is_network_file(to) || to.ends_with(".safetensors"), to,
          ": a model is exported to a file called *.onnx, *", kNetworkSuffix, " or *.safetensors");
  if (is_network_file(from)) {
    read_network(from);  // is refused when it is broken
    onnx ? network_to_onnx(from, to) : copy_whole(from, to);
    return;
  }
  const RunFolder folder(from);
  std::error_code error;
  require(folder.has_options(), from, ": is no run folder and no *", kNetworkSuffix,
          " file; hint: name the --run folder of `thimble train`");
  require(fs::exists(folder.model_file(), error), from, ": no trained model is here yet");
  for (const std::string& own :
       {folder.checkpoint_file(), folder.base_file(), folder.best_file(), folder.model_file()}) {
    require(fs::weakly_canonical(to, error) != fs::weakly_canonical(own, error), to,
            ": is a file of the run; name another file");
  }
  if (!onnx && !is_network_file(to)) return copy_whole(folder.model_file(), to);
  if (!onnx) return write_run(folder, to);
  const PassingFile network(to);
  write_run(folder, network.path());
  network_to_onnx(network.path(), to);
}

}  // namespace thimble
