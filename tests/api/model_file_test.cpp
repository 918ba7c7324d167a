#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "models/mobile_network.h"
#include "models/small_network.h"
#include "runtime/fixtures.h"
#include "runtime/network_file.h"
#include "runtime/safetensors.h"
#include "support/expect_error.h"
#include "thimble/thimble.h"

// A network from a file, trained on somebody's own pictures, and handed back.

namespace thimble {
namespace {

using cli_test::Finished;
using data_test::read_file;
using nlohmann::json;
using runtime_test::TempDir;

class ModelFile : public testing::Test {
 protected:
  ModelFile() {
    runtime_test::write_bars(dir_ / "data", 64, 20);
    write(small_network(4));
  }

  void write(const Network& network) {
    write_network(model_, network, [&](const NetworkParameter& p) {
      // Statistics and scales are positive.
      const bool scale = p.name.ends_with("var") || p.name.ends_with("norm.weight");
      values_.resize(std::max(values_.size(), static_cast<size_t>(p.shape.elements())));
      for (size_t i = 0; i < values_.size(); ++i) {
        values_[i] = scale ? 1.0f : 0.05f * static_cast<float>(i % 13) - 0.31f;
      }
      return values_.data();
    });
  }

  std::string line(const std::string& flags, const std::string& run = "run") const {
    return str_cat("train --model ", model_, " --input 3x28x28 --batch 8 --threads 1 --data ",
                   dir_ / "data", " --run ", dir_ / run, " ", flags);
  }
  // More than a page of them is frozen.
  static Network with_thousand_weights() {
    Network n = small_network(4);
    n.parameters.push_back({"wide.weight", {64, 8, 1, 1}, Role::weight, {}});
    n.parameters.push_back({"narrow.weight", {8, 64, 1, 1}, Role::weight, {}});
    const auto pointwise = [](const std::string& name, const std::string& from, int64_t out) {
      return NetworkLayer{
          "conv2d", name, {from, name + ".weight"}, {name + "_out"}, {{"out_channels", out}}};
    };
    const auto pool = n.layers.end() - 3;
    pool->inputs[0] = "narrow_out";
    n.layers.insert(pool, {pointwise("wide", "z", 64), pointwise("narrow", "wide_out", 8)});
    return n;
  }
  std::vector<float> values_of(const std::string& file, const std::string& tensor, size_t count) {
    std::vector<float> values(count);
    SafetensorsReader(file).read(tensor, values.data(), static_cast<int64_t>(count) * 4);
    return values;
  }

  const TempDir dir_;
  const std::string model_ = dir_ / "small.thimble";
  std::vector<float> values_ = std::vector<float>(4096);
};

TEST_F(ModelFile, TrainsItsHeadAndLeavesTheRestAsItWas) {
  const Finished f = cli_test::thimble(line("--train head"));
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const std::string trained = dir_ / "run/model.safetensors";
  for (const char* frozen : {"stem.weight", "deep_norm.bias", "deep_norm.mean"}) {
    const size_t count = frozen == std::string("stem.weight") ? 216 : 8;
    EXPECT_EQ(values_of(trained, frozen, count), values_of(model_, frozen, count)) << frozen;
  }
  // The bars are of ten classes, the network was of four: the head begins anew, and moves.
  ASSERT_EQ(cli_test::thimble(line("--train head --lr 1e-30", "still")).exit_code, 0);
  EXPECT_NE(values_of(trained, "fc.weight", 80),
            values_of(dir_ / "still/model.safetensors", "fc.weight", 80));
}

TEST_F(ModelFile, TrainsEverythingFromTheFilesWeights) {
  ASSERT_EQ(cli_test::thimble(line("--lr 1e-30 --norm frozen")).exit_code, 0);
  EXPECT_EQ(values_of(dir_ / "run/model.safetensors", "project.weight", 64),
            values_of(model_, "project.weight", 64));
}

TEST_F(ModelFile, ARunGoesOnAndIsEvaluatedWithoutTheFile) {
  ASSERT_EQ(cli_test::thimble(line("--train last:2 --epochs 2", "whole")).exit_code, 0);
  ASSERT_EQ(cli_test::thimble(line("--train last:2 --epochs 1")).exit_code, 0);
  std::filesystem::remove(model_);
  // Of a run that is done, `model.safetensors` is not overwritten.
  std::filesystem::remove(dir_ / "run/model.safetensors");
  EXPECT_EQ(cli_test::thimble("eval --run " + (dir_ / "whole")).exit_code, 0);
  // Two epochs at once have another learning rate in the first: only that it goes on.
  const Finished f = cli_test::thimble(line("--train last:2 --epochs 2 --resume"));
  EXPECT_EQ(f.exit_code, 0) << f.err;
}

// Frozen weights are read-only by then, the best epoch's others come back.
TEST_F(ModelFile, TheBestEpochOfAHeadIsKept) {
  write(with_thousand_weights());
  const std::string flags = "--train head --validation 0.3 --patience 1 --epochs 4";
  const Finished f = cli_test::thimble(line(flags));
  ASSERT_EQ(f.exit_code, 0) << f.err;
  EXPECT_EQ(values_of(dir_ / "run/model.safetensors", "fc.weight", 80),
            values_of(dir_ / "run/best.safetensors", "fc.weight", 80));
}

TEST_F(ModelFile, ANewRunForgetsTheNetworkOfOneThatWasKilled) {
  std::filesystem::create_directories(dir_ / "run");
  std::filesystem::copy_file(model_, dir_ / "run/base.thimble");
  ASSERT_EQ(cli_test::thimble(str_cat("train --model lenet --batch 8 --threads 1 --data ",
                                      dir_ / "data", " --run ", dir_ / "run"))
                .exit_code,
            0);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "run/base.thimble"));
  EXPECT_EQ(cli_test::thimble("eval --run " + (dir_ / "run")).exit_code, 0);
}

// As when the disk was full, or a kill came, before there was a checkpoint.
TEST_F(ModelFile, ARunWithoutACheckpointGoesOnFromItsCopy) {
  ASSERT_EQ(cli_test::thimble(line("--train head --epochs 1", "whole")).exit_code, 0);
  ASSERT_EQ(cli_test::thimble(line("--train head --epochs 1")).exit_code, 0);
  for (const char* file : {"checkpoint.safetensors", "model.safetensors", "metrics.jsonl"}) {
    ASSERT_TRUE(std::filesystem::remove(dir_ / "run/" + file));
  }
  std::filesystem::remove(model_);
  const Finished f = cli_test::thimble(line("--train head --epochs 1 --resume"));
  EXPECT_EQ(f.exit_code, 0) << f.err;
  EXPECT_TRUE(read_file(dir_ / "run/model.safetensors") ==
              read_file(dir_ / "whole/model.safetensors"));
}

TEST_F(ModelFile, IsExportedToNoFileOfItsRun) {
  ASSERT_EQ(cli_test::thimble(line("--train head --epochs 1")).exit_code, 0);
  const std::string checkpoint = dir_ / "run/checkpoint.safetensors";
  const auto before = read_file(checkpoint);
  expect_user_error([&] { export_model(dir_ / "run", dir_ / "run/../run/checkpoint.safetensors"); },
                    "is a file of the run");
  EXPECT_TRUE(read_file(checkpoint) == before);
  data_test::write_file(dir_ / "cut.thimble", {1, 2, 3});
  expect_user_error([&] { export_model(dir_ / "cut.thimble", dir_ / "copy.thimble"); },
                    "cut.thimble");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "copy.thimble"));
}

TEST_F(ModelFile, FirstWeightsGoWithANetworkBesideIt) {
  ASSERT_EQ(cli_test::thimble(line("--train head", "first")).exit_code, 0);
  const Finished f = cli_test::thimble(
      line("--classes 10 --train head --init " + (dir_ / "first/model.safetensors"), "second"));
  EXPECT_EQ(f.exit_code, 0) << f.err;
}

TEST_F(ModelFile, IsExportedWithTheTrainedWeights) {
  ASSERT_EQ(cli_test::thimble(line("--train head")).exit_code, 0);
  const Finished f =
      cli_test::thimble("export " + (dir_ / "run") + " --to " + (dir_ / "out.thimble"));
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const Network out = read_network(dir_ / "out.thimble");
  EXPECT_EQ(out.layers.front(), small_network(4).layers.front());
  EXPECT_EQ(classes_of(out), 10);
  EXPECT_EQ(out.image, (Shape{3, 28, 28})) << "the size that it was trained with";
  EXPECT_EQ(values_of(dir_ / "out.thimble", "fc.weight", 80),
            values_of(dir_ / "run/model.safetensors", "fc.weight", 80));
  ASSERT_EQ(
      cli_test::thimble("export " + (dir_ / "run") + " --to " + (dir_ / "w.safetensors")).exit_code,
      0);
  EXPECT_EQ(read_file(dir_ / "w.safetensors"), read_file(dir_ / "run/model.safetensors"));
}

// The program in the place of thimble-onnx ends the export as kill -9 does, with its network
// beside.
TEST_F(ModelFile, AKilledExportLeavesNothingBehindTheNext) {
  ASSERT_EQ(cli_test::thimble(line("--train head")).exit_code, 0);
  const std::string out = dir_ / "out";
  std::filesystem::create_directory(out);
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(out), {}); };
  const auto exported = [&](const std::string& program) {
    std::ofstream(dir_ / "program") << "#!/bin/sh\n" << program << '\n';
    std::filesystem::permissions(dir_ / "program", std::filesystem::perms::owner_all);
    return cli_test::shell("THIMBLE_ONNX='" + (dir_ / "program") + "' $thimble export " +
                           (dir_ / "run") + " --to " + out + "/net.onnx");
  };
  EXPECT_EQ(exported("kill -9 $PPID").exit_code, 137);
  EXPECT_EQ(files(), 1);
  const Finished f = exported("cp \"$2\" \"$3\"");
  EXPECT_EQ(f.exit_code, 0) << f.err;
  EXPECT_EQ(files(), 1);
  EXPECT_EQ(classes_of(read_network(out + "/net.onnx")), 10);
}

// Of a network from a file, with and without one beside it; stopped as a crash would.
TEST_F(ModelFile, ARunOfAPartGoesOnToTheSameBits) {
  for (const char* side : {"none", "rep-net"}) {
    const bool alone = std::string(side) == "none";
    if (!alone) write(mobilenet_v2_network(0.25, {3, 32, 32}));  // of several stages, as it needs
    TrainOptions o;
    o.model.name = model_;
    o.model.channels = 3;
    o.model.height = o.model.width_px = 28;
    o.model.batch = 8;
    o.model.side = side;
    o.model.train = alone ? "bias,head" : "side,head";
    o.data.path = dir_ / "data";
    o.data.flip = true;
    o.threads = 1;
    o.checkpoint_every = 2;
    o.run_folder = dir_ / side;
    const auto whole = read_file(train(o).weights_file);
    o.run_folder += " again";
    int64_t steps = 0;
    const auto crash = [&](const Progress&) {
      if (++steps == 5) throw std::runtime_error("crash");
    };
    EXPECT_THROW(train(o, crash), std::runtime_error);
    o.resume = true;
    EXPECT_TRUE(read_file(train(o).weights_file) == whole) << side;
  }
}

// Each picture's patches go through the network of the file, whose norms then stay as they are.
TEST_F(ModelFile, TrainsOnPatches) {
  for (const char* loss : {"each", "mean"}) {
    const std::string flags =
        str_cat("--train head --norm frozen --patches-of 56x56 --patch-loss ", loss);
    const Finished f = cli_test::thimble(line(flags, loss));
    ASSERT_EQ(f.exit_code, 0) << f.err;
    EXPECT_EQ(values_of(dir_ / loss + "/model.safetensors", "stem.weight", 216),
              values_of(model_, "stem.weight", 216));
    EXPECT_EQ(cli_test::thimble("eval --run " + (dir_ / loss)).exit_code, 0);
  }
  EXPECT_NE(read_file(dir_ / "each/model.safetensors"), read_file(dir_ / "mean/model.safetensors"));
}

// Sparse weights are those of both networks, and both are trained.
TEST_F(ModelFile, WithANetworkBesideItIsTrainedSparse) {
  write(mobilenet_v2_network(0.25, {3, 32, 32}));
  const Finished f = cli_test::thimble(line("--side rep-net --sparsity 0.5 --lr 0.001"));
  ASSERT_EQ(f.exit_code, 0) << f.err;
  EXPECT_EQ(cli_test::thimble("eval --run " + (dir_ / "run")).exit_code, 0);
  const Finished part = cli_test::thimble(line("--side rep-net --sparsity 0.5 --train side,head"));
  EXPECT_EQ(part.exit_code, 2);
  EXPECT_NE(part.err.find("sparse weights are trained all, and --train is side,head"),
            part.err.npos)
      << part.err;
}

TEST_F(ModelFile, FrozenLayersSaveNothing) {
  TrainOptions options;
  options.model.name = model_;
  options.model.height = options.model.width_px = 64;
  options.model.batch = 8;
  options.threads = 1;
  options.backend = "portable";
  const PlanReport whole = plan(options);
  options.model.train = "head";
  const PlanReport head = plan(options);
  EXPECT_EQ(head.parameters, 4 * 8 + 4);
  EXPECT_EQ(head.by_category[3], 0) << "saved";
  EXPECT_LT(head.arena_bytes, whole.arena_bytes * 3 / 4);
}

TEST_F(ModelFile, TrainingTheHeadTakesWhatInferenceTakesAndTheHeadsOwn) {
  ASSERT_EQ(cli_test::thimble(line("--train head --input 3x64x64")).exit_code, 0);
  const json plan = json::parse(cli_test::text_of(dir_ / "run/plan.json"));
  const Finished f = cli_test::thimble("eval --json --threads 1 --run " + (dir_ / "run"));
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const int64_t inference = json::parse(f.out)["arena_bytes"].get<int64_t>();
  const int64_t momentum = plan["by_category"]["optimizer"].get<int64_t>();
  constexpr int64_t kRounding = 512;  // the learning rate and the step counter, whole cache lines
  EXPECT_LE(plan["arena_bytes"].get<int64_t>(), inference + momentum + kRounding);
}

TEST_F(ModelFile, SaysWhatItCannotTake) {
  const auto refused = [&](const std::string& arguments, const std::string& words) {
    const Finished f = cli_test::thimble(arguments);
    EXPECT_EQ(f.exit_code, 2) << arguments;
    EXPECT_NE(f.err.find(words), f.err.npos) << f.err;
  };
  refused(line("--train nothing.*"), "train: 'nothing.*' names no weight");
  refused(line("--norm group"), "no group norm");
  refused(line("--width 0.5"), "its width is what the file has");
  refused(line("--train head --sparsity 0.5"), "sparse weights are trained all");
  refused("plan --model " + (dir_ / "none.thimble"), "none.thimble: cannot open");
  refused("export " + (dir_ / "data") + " --to x.onnx", "is no run folder");
  refused("export " + model_ + " --to x.tflite", "a model is exported to a file called *.onnx");
}

}  // namespace
}  // namespace thimble
