#include "runtime/feature_cache.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/aside_file.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/process_memory.h"
#include "data/input_file.h"
#include "runtime/run_data.h"
#include "runtime/run_folder.h"
#include "transforms/cached_features.h"

namespace thimble {
namespace {

constexpr int64_t kMostOriginBytes = kMiB;

// All that the numbers in the file depend on.
std::string origin_of(Session& session, const Setup& setup, const Plan& plan) {
  const TrainOptions& o = setup.options;
  const PixelNumbers pixels = run_data_of(setup).pixels;
  const nlohmann::ordered_json root = {
      {"tensor", setup.features},
      {"values", setup.feature_values},
      {"examples", setup.train_data->size()},
      {"weights", hex_of(session.weights().hash(setup.feature_weights))},
      {"data", hex_of(setup.train_data->fingerprint())},
      {"decode_bytes", o.data.decode_bytes},
      {"image", {o.model.channels, o.model.height, o.model.width_px}},
      {"pixels", {{"mean", pixels.mean}, {"std", pixels.std}, {"bgr", pixels.bgr}}},
      {"kernels", setup.kernels},
      {"numerics", text_of(plan.numerics)},
      {"threads", o.threads}};
  return root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

bool is_of(const RunFolder& folder, const std::string& origin) {
  std::error_code error;
  if (!std::filesystem::exists(folder.features_origin_file(), error)) return false;
  try {
    return read_text(folder.features_origin_file(), kMostOriginBytes) == origin;
  } catch (const UserError&) {
    return false;  // too long, or not to be read: made anew
  }
}

void remove_file(const std::string& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
  require(!error, path, ": cannot remove: ", error.message());
}

// Beside its place until it is whole. False when it was asked to stop.
bool write_features(Session& session, const Setup& setup, const std::string& path,
                    const FeatureWatch& watch) {
  const int64_t pictures = setup.train_data->size();
  const int64_t bytes = FeatureFile::bytes(setup.feature_values, pictures);
  AsideFile file(path);
  const int failed = file.take_room(bytes);
  require(failed == 0, path, ": has no room for the features of ", pictures, " pictures, ",
          format_bytes(bytes), ": ", std::strerror(failed),
          "; put the run on another disk with --run, or leave out --cache-features");
  release_what_is_done();
  const auto loader = session.open_loader(Session::Part::pictures);
  loader->begin_epoch(0);
  int64_t done = 0;
  while (const auto batch = loader->next()) {
    if (watch.should_stop && watch.should_stop()) return false;
    session.evaluate_step(batch->slot);
    const std::span<float> features = session.features();
    const std::span<const int32_t> labels = session.labels(batch->slot);
    for (int64_t i = 0; i < batch->examples; ++i) {
      const auto first = static_cast<size_t>(i * setup.feature_values);
      const bool good = labels[static_cast<size_t>(i)] >= 0;
      const auto one = features.subspan(first, static_cast<size_t>(setup.feature_values));
      if (!good) FeatureFile::mark_broken(one);
    }
    file.write(features.data(), FeatureFile::bytes(setup.feature_values, batch->examples));
    done += batch->examples;
    if (watch.on_progress) watch.on_progress(done, pictures);
  }
  release_what_is_done();
  file.commit();
  return true;
}

}  // namespace

void check_cacheable(const TrainOptions& o) {
  const auto refuse_with = [](bool given, const char* what, const char* why) {
    require(!given, "--cache-features reads each picture once, before the first step, and ", what,
            " ", why, "; leave one of them out");
  };
  const char* const another = "makes another picture of it in each epoch";
  refuse_with(o.data.flip, "--flip", another);
  refuse_with(o.data.crop_pad > 0, "--crop", another);
  const bool cut = o.patches.height > 0;
  refuse_with(cut && o.patches.loss == "mean", "--patch-loss mean", "looks at it twice in a step");
  refuse_with(cut, "--patches-of", "cuts it anew in each epoch");
  refuse_with(o.sparse.sparsity != 0 || o.sparse.in_groups(), "sparse training",
              "changes the weights of all layers");
  refuse_with(std::count(o.allow.begin(), o.allow.end(), "bf16") > 0, "--allow bf16",
              "rounds what the frozen part makes of it");
}

void read_features(Setup& setup) {
  const Graph& forward = setup.request.forward;
  setup.features = find_features(forward);
  setup.feature_weights = weights_before(forward, setup.features);
  const Shape& shape = forward.tensor(forward.find(setup.features)).shape;
  setup.feature_values = shape.elements() / shape[0];
  setup.request.cached = {setup.features, setup.train_data ? setup.train_data->size() : 0};
  setup.request.reservations = [before = std::move(setup.request.reservations),
                                values = setup.feature_values](int64_t batch) {
    std::vector<Reservation> all = before(batch);
    all.push_back({kNextFeatures, FeatureFile::bytes(values, batch)});
    return all;
  };
}

std::unique_ptr<FeatureFile> open_features(Session& session, const Setup& setup, const Plan& plan,
                                           const FeatureWatch& watch) {
  const RunFolder folder(setup.options.run_folder);
  const std::string path = folder.features_file();
  const std::string origin = origin_of(session, setup, plan);
  const int64_t pictures = setup.train_data->size();
  if (!is_of(folder, origin) || !FeatureFile::is_whole(path, setup.feature_values, pictures)) {
    // Between the two a run may have been killed; what is not of their size is somebody else's.
    std::error_code error;
    const bool ours = std::filesystem::exists(folder.features_origin_file(), error) ||
                      !std::filesystem::exists(path, error) ||
                      FeatureFile::is_whole(path, setup.feature_values, pictures);
    require(ours, path, ": is no file of cached features; move it away, or name another --run");
    // First what says that the other is whole.
    remove_file(folder.features_origin_file());
    remove_file(path);
    if (!write_features(session, setup, path, watch)) return nullptr;
    AsideFile file(folder.features_origin_file());
    file.write(origin.data(), static_cast<int64_t>(origin.size()));
    file.commit();
  }
  release_what_is_done();
  return std::make_unique<FeatureFile>(path, setup.feature_values);
}

}  // namespace thimble
