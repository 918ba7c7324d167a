#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "backends/backend.h"
#include "models/small_network.h"
#include "runtime/fixtures.h"
#include "runtime/network_file.h"
#include "support/expect_error.h"
#include "thimble/thimble.h"

// Training on what a frozen part made of each picture once.

namespace thimble {
namespace {

using cli_test::Finished;
using data_test::read_file;
using nlohmann::json;
using runtime_test::TempDir;

constexpr int64_t kPictures = 61;  // of the last batch, some are left over

class CachedRun : public testing::Test {
 protected:
  CachedRun() {
    runtime_test::write_bars(dir_ / "data", static_cast<uint32_t>(kPictures), 20);
    std::vector<float> values(4096);
    write_network(model_, small_network(4), [&](const NetworkParameter& p) {
      const bool scale = p.name.ends_with("var") || p.name.ends_with("norm.weight");
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = scale ? 1.0f : 0.05f * static_cast<float>(i % 13) - 0.31f;
      }
      return values.data();
    });
  }

  TrainOptions options(const std::string& run, const std::string& trained = "head") const {
    TrainOptions o;
    o.model.name = model_;
    o.model.batch = 8;
    o.model.channels = 3;
    o.model.height = o.model.width_px = 28;
    o.model.norm = "frozen";
    o.model.train = trained;
    o.data.path = dir_ / "data";
    o.optimizer.learning_rate = 0.01;
    o.epochs = 2;
    o.threads = 1;
    o.backend = "portable";
    o.checkpoint_every = 1;
    o.run_folder = dir_ / run;
    o.cache_features = true;
    return o;
  }

  // How many pictures' features were computed on the way.
  static int64_t cached_by(const TrainOptions& o) {
    int64_t cached = 0;
    EXPECT_TRUE(train(o, [&](const Progress& p) { cached = std::max(cached, p.cached); }).trained);
    return cached;
  }

  data_test::Bytes model_of(const std::string& run) const {
    return read_file(dir_ / run + "/model.safetensors");
  }
  bool has(const std::string& file) const { return std::filesystem::exists(dir_ / file); }

  // A process that trains and dies without warning when `when` holds.
  static void kill_when(const TrainOptions& o, const std::function<bool(const Progress&)>& when) {
    const pid_t child = fork();
    if (child == 0) {
      train(o, [&](const Progress& p) {
        if (when(p)) ::raise(SIGKILL);
      });
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it was not killed";
  }

  const TempDir dir_;
  const std::string model_ = dir_ / "small.thimble";
};

TEST_F(CachedRun, EndsInTheBitsOfARunThatReadsPictures) {
  std::vector<std::string> backends;
  for (const auto& [name, summary] : list_backends()) backends.push_back(name);
  for (const std::string& backend : backends) {
    for (const char* trained : {"head", "last:2"}) {
      TrainOptions o = options(str_cat("cached", backend, trained), trained);
      o.backend = backend;
      const TrainReport cached = train(o);
      const auto with = read_file(o.run_folder + "/model.safetensors");
      o.run_folder = dir_ / str_cat("pictures", backend, trained);
      o.cache_features = false;
      const TrainReport pictures = train(o);
      EXPECT_TRUE(with == read_file(o.run_folder + "/model.safetensors")) << backend << trained;
      EXPECT_EQ(cached.accuracy, pictures.accuracy);
      EXPECT_EQ(cached.loss, pictures.loss);
    }
  }
}

TEST_F(CachedRun, KeepsThePicturesOrderOfClassesAndPartsKeptAside) {
  for (const char* balance : {"draw", "loss"}) {
    TrainOptions o = options(str_cat("cached", balance));
    o.data.balance = balance;
    o.data.validation = 0.3;
    o.patience = 1;
    const TrainReport cached = train(o);
    o.run_folder = dir_ / str_cat("pictures", balance);
    o.cache_features = false;
    const TrainReport pictures = train(o);
    EXPECT_TRUE(model_of(str_cat("cached", balance)) == model_of(str_cat("pictures", balance)));
    EXPECT_EQ(cached.validation_loss, pictures.validation_loss);
  }
}

TEST_F(CachedRun, TheFileHoldsTheValuesOfEachPictureAndNothingElse) {
  EXPECT_EQ(cached_by(options("run")), kPictures);
  EXPECT_EQ(std::filesystem::file_size(dir_ / "run/features.bin"), kPictures * 8 * 4u);
  EXPECT_TRUE(has("run/features.json"));
  TrainOptions of_run;
  of_run.run_folder = dir_ / "run";
  EXPECT_EQ(evaluate(of_run).examples, 20);
}

TEST_F(CachedRun, KilledWhileItCachesItGoesOnToTheSameBits) {
  cached_by(options("whole"));
  TrainOptions o = options("run");
  kill_when(o, [](const Progress& p) { return p.cached >= 24; });
  EXPECT_FALSE(has("run/features.bin"));
  o.resume = true;
  EXPECT_EQ(cached_by(o), kPictures);
  EXPECT_TRUE(model_of("run") == model_of("whole"));
  for (const auto& entry : std::filesystem::directory_iterator(dir_ / "run")) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

TEST_F(CachedRun, KilledWhileItTrainsItGoesOnFromTheSameFile) {
  cached_by(options("whole"));
  TrainOptions o = options("run");
  kill_when(o, [](const Progress& p) { return p.epoch == 1 && p.step == 2; });
  const auto written = std::filesystem::last_write_time(dir_ / "run/features.bin");
  o.resume = true;
  EXPECT_EQ(cached_by(o), 0);
  EXPECT_EQ(std::filesystem::last_write_time(dir_ / "run/features.bin"), written);
  EXPECT_TRUE(model_of("run") == model_of("whole"));
}

TEST_F(CachedRun, AFileThatWasCutIsMadeAnew) {
  cached_by(options("whole"));
  TrainOptions o = options("run");
  kill_when(o, [](const Progress& p) { return p.epoch == 1 && p.step == 2; });
  std::filesystem::resize_file(dir_ / "run/features.bin", kPictures * 8 * 4 - 1);
  o.resume = true;
  EXPECT_EQ(cached_by(o), kPictures);
  EXPECT_TRUE(model_of("run") == model_of("whole"));
}

TEST_F(CachedRun, AFileOfOtherPicturesIsMadeAnew) {
  TrainOptions o = options("run");
  kill_when(o, [](const Progress& p) { return p.epoch == 1 && p.step == 2; });
  // With the same labels.
  runtime_test::write_bars(dir_ / "data", static_cast<uint32_t>(kPictures), 20);
  o.resume = true;
  EXPECT_EQ(cached_by(o), kPictures);
}

TEST_F(CachedRun, AFileOfSomebodyElseIsLeftAlone) {
  const data_test::Bytes mine = {1, 2, 3};
  std::filesystem::create_directory(dir_ / "run");
  data_test::write_file(dir_ / "run/features.bin", mine);
  expect_user_error([&] { cached_by(options("run")); }, "is no file of cached features");
  EXPECT_EQ(read_file(dir_ / "run/features.bin"), mine);
}

TEST_F(CachedRun, StoppedWhileItCachesItIsInterrupted) {
  TrainOptions o = options("run");
  bool stop = false;
  const TrainReport report = train(
      o, [&](const Progress& p) { stop = p.cached > 0; }, [&] { return stop; });
  EXPECT_TRUE(report.interrupted);
  EXPECT_FALSE(has("run/features.bin"));
  o.resume = true;
  EXPECT_EQ(cached_by(o), kPictures);
}

TEST_F(CachedRun, AStepTakesFewerBytesAndLessTime) {
  TrainOptions o = options("");
  o.data.path = "";
  o.model.classes = 4;
  o.backend = "auto";
  const PlanReport cached = plan(o);
  EXPECT_NE(std::find(cached.techniques.begin(), cached.techniques.end(),
                      "cached_features: flat, 32 B of each picture"),
            cached.techniques.end())
      << testing::PrintToString(cached.techniques);
  EXPECT_EQ(cached.promise, "same_math");
  o.cache_features = false;
  const PlanReport pictures = plan(o);
  EXPECT_LT(cached.predicted_step_seconds, pictures.predicted_step_seconds);
  EXPECT_LE(cached.arena_bytes, pictures.arena_bytes + 1024) << "the features themselves";
}

TEST_F(CachedRun, StaysInsideTheSmallestBudget) {
  const std::string line =
      " --input 3x28x28 --batch 8 --threads 1 --train head --norm frozen --cache-features --json "
      "--data " +
      dir_ / "data" + " --model " + model_;
  const json refused = json::parse(cli_test::thimble("plan" + line + " --budget 1MiB").out);
  const int64_t smallest = refused["smallest_budget_bytes"];
  const Finished f =
      cli_test::thimble(str_cat("train", line, " --run ", dir_ / "run --budget ", smallest));
  ASSERT_EQ(f.exit_code, 0) << f.err;
  EXPECT_LE(json::parse(f.out)["peak_rss_bytes"].get<int64_t>(), smallest);
}

// Where approximations are tried, one of which is ruled out.
TEST_F(CachedRun, IsRefusedBetweenTheFixedBytesAndTheSmallestBudget) {
  const std::string line =
      "plan --input 3x28x28 --classes 4 --batch 1024 --threads 1 --train head --norm frozen "
      "--cache-features --without microbatch,row_bands --json --model " +
      model_;
  const json refused = json::parse(cli_test::thimble(line + " --budget 1MiB").out);
  const int64_t fixed = refused["fixed_bytes"], arena = refused["arena_bytes"];
  ASSERT_GT(arena, 16 << 20) << "far more than what the fixed bytes vary by";
  const Finished f = cli_test::thimble(str_cat(line, " --budget ", fixed + arena / 2));
  EXPECT_EQ(f.exit_code, 3) << f.err;
}

TEST_F(CachedRun, ADiskWithoutRoomIsSaidBeforeAnythingIsComputed) {
  // 8 maps of 14x14 of each picture: more than all other files of the run.
  const std::string line = "train --input 3x28x28 --batch 8 --threads 1 --train last:2 --data " +
                           dir_ / "data" + " --model " + model_ + " --run " + dir_ / "run";
  const Finished f =
      cli_test::shell("ulimit -f 200; $thimble " + line + " --norm frozen --cache-features");
  EXPECT_EQ(f.exit_code, 2) << f.err;
  EXPECT_NE(
      f.err.find(
          "features.bin: has no room for the features of 61 pictures, 373.6 KiB: File too large"),
      f.err.npos)
      << f.err;
  EXPECT_FALSE(has("run/features.bin"));
}

TEST_F(CachedRun, SaysWhatDoesNotGoWithIt) {
  const auto refuses = [&](auto change, const std::string& words) {
    TrainOptions o = options("");
    change(o);
    expect_user_error([&] { plan(o); }, words);
  };
  refuses([](TrainOptions& o) { o.data.flip = true; }, "--flip makes another picture");
  refuses([](TrainOptions& o) { o.data.crop_pad = 2; }, "--crop makes another picture");
  refuses([](TrainOptions& o) { o.patches = {64, 64, 0, "each"}; }, "--patches-of cuts it anew");
  refuses([](TrainOptions& o) { o.patches = {64, 64, 0, "mean"}; }, "--patch-loss mean looks at");
  refuses([](TrainOptions& o) { o.sparse.sparsity = 0.5; }, "sparse training changes");
  refuses([](TrainOptions& o) { o.allow = {"bf16"}; }, "--allow bf16 rounds");
  refuses([](TrainOptions& o) { o.model.train = "all"; }, "stem.weight is trained");
  TrainOptions nowhere = options("");
  nowhere.run_folder = "";
  expect_user_error([&] { train(nowhere); }, "cached features need a run folder");
}

}  // namespace
}  // namespace thimble
