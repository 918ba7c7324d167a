#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "graph/graph.h"
#include "runtime/fixtures.h"
#include "runtime/safetensors.h"

namespace thimble {
namespace {

using cli_test::Finished;
using data_test::read_file;
using nlohmann::json;
using runtime_test::TempDir;

// Through the program.
class SparseRun : public testing::Test {
 protected:
  SparseRun() { runtime_test::write_bars(dir_ / "data", 192, 64); }
  void goes_on_to_the_same_bits(const std::string& how) const;
  void has_a_dense_model(const std::string& how, double share_of_zeros) const;
  void begins_from_the_largest(const std::string& how, int64_t group) const;
  void refuses_a_broken_index(const std::string& how, const std::vector<uint8_t>& bytes) const;
  std::string line(const std::string& run, const std::string& more) const {
    return "train --model resnet18_cifar --width 0.25 --batch 16 --threads 2 --epochs 2 --seed 3 "
           "--json --sparsity 0.8 --sparse-every 5 --checkpoint-every 1 --data " +
           dir_ / "data" + " --run " + dir_ / run + " " + more;
  }
  const TempDir dir_;
};

void SparseRun::goes_on_to_the_same_bits(const std::string& how) const {
  const Finished whole = cli_test::thimble(line("whole", how));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_GT(runtime_test::kill_until_done(line("run", how), dir_ / "run", 0.2), 1);
  for (const char* file : {"model.safetensors", "checkpoint.safetensors"}) {
    const SafetensorsReader a(dir_ / "whole/" + file), b(dir_ / "run/" + file);
    ASSERT_EQ(a.entries(), b.entries());
    for (const TensorEntry& e : a.entries()) {
      std::vector<std::byte> x(static_cast<size_t>(e.bytes)), y(x.size());
      a.read(e.name, x.data(), e.bytes);
      b.read(e.name, y.data(), e.bytes);
      EXPECT_TRUE(x == y) << file << ' ' << e.name;
    }
  }
}

TEST_F(SparseRun, KilledItGoesOnToTheSameBits) { goes_on_to_the_same_bits(""); }

TEST_F(SparseRun, KilledItGoesOnWithMestInGroupsAndWhatItExplored) {
  goes_on_to_the_same_bits(
      "--sparsity 0.75 --sparse-method mest --sparse-format 2:8 --sparse-explored");
}

TEST_F(SparseRun, ReportsWhatWasExplored) {
  const Finished f = cli_test::thimble(line("run", "--sparse-method set --sparse-explored"));
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const json layers = json::parse(f.out)["explored"];
  ASSERT_GE(layers.size(), 10u);
  double explored = 0, positions = 0;
  for (const json& e : layers) {
    EXPECT_LE(e["explored"], e["positions"]) << e["weight"];
    // Set draws as many again in each of the changes, up to three quarters of the 24 steps.
    EXPECT_GT(e["explored"], e["active"]) << e["weight"];
    EXPECT_LT(e["explored"].get<double>(), 2 * e["active"].get<double>()) << e["weight"];
    explored += e["explored"].get<double>();
    positions += e["positions"].get<double>();
  }
  std::ifstream metrics(dir_ / "run/metrics.jsonl");
  std::string last;
  for (std::string line; std::getline(metrics, line);) last = line;
  EXPECT_NEAR(json::parse(last)["explored"], explored / positions, 1e-12);
  const Finished same =
      cli_test::thimble(line("static", "--sparse-method static --sparse-explored"));
  EXPECT_EQ(same.exit_code, 2);
  EXPECT_NE(same.err.find("sparse.explored needs positions that change"), std::string::npos);
}

TEST(SparsePlan, OfNToMSaysTheSparsityAndItsIndex) {
  const Finished f = cli_test::thimble(
      "plan --json --model resnet50 --batch 4 --input 64 --norm group --sparse-format 1:16");
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const json plan = json::parse(f.out);
  const double share = plan["active_parameters"].get<double>() / plan["parameters"].get<double>();
  EXPECT_NEAR(share, 1.0 / 16, 0.01);
}

// Of the same network: a bit for each position, 4 bytes for each that a change may replace.
TEST(SparsePlan, HoldsWhatAMethodNeeds) {
  const auto weights = [](const std::string& more) {
    const Finished f = cli_test::thimble(
        "plan --json --model resnet50 --batch 2 --input 64 --norm group --sparsity 0.9 "
        "--sparse-distribution uniform " +
        more);
    EXPECT_EQ(f.exit_code, 0) << f.err;
    const json by = json::parse(f.out)["by_category"];
    return by["weights"].get<double>();
  };
  const double set = weights("--sparse-method set");
  EXPECT_EQ(set, weights("--sparse-method static"));
  EXPECT_NEAR(weights("--sparse-method set --sparse-explored") - set, 23.45e6 / 8, 2e4);
}

TEST(SparsePlan, SaysThatItIsAnotherComputationAndWhatItTakes) {
  const Finished f = cli_test::thimble(
      "plan --json --model resnet50 --batch 16 --norm group --sparsity 0.9 --budget 120MiB");
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const json plan = json::parse(f.out);
  EXPECT_NE(plan["techniques"].dump().find("microbatch: "), std::string::npos);
  EXPECT_EQ(plan["promise"], "approximate");
  EXPECT_NE(plan["techniques"].dump().find("sparse_weights: rigl, changed every 100 steps, "),
            std::string::npos);
  EXPECT_LE(plan["by_category"]["weights"].get<int64_t>() +
                plan["by_category"]["optimizer"].get<int64_t>(),
            26 << 20);
}

void SparseRun::has_a_dense_model(const std::string& how, double share_of_zeros) const {
  const Finished f = cli_test::thimble(line("run", how));
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const SafetensorsReader model(dir_ / "run/model.safetensors");
  int64_t zeros = 0, all = 0;
  for (const TensorEntry& e : model.entries()) {
    EXPECT_FALSE(e.name.ends_with(kActive));
    if (e.shape.size() < 4) continue;
    std::vector<float> values(static_cast<size_t>(e.bytes / 4));
    model.read(e.name, values.data(), e.bytes);
    zeros += std::count(values.begin(), values.end(), 0.0f);
    all += std::ssize(values);
  }
  EXPECT_NEAR(static_cast<double>(zeros) / static_cast<double>(all), share_of_zeros, 0.02);
  const json trained = json::parse(f.out);
  const Finished eval =
      cli_test::thimble("eval --json --run " + dir_ / "run" + " --data " + dir_ / "data");
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_EQ(json::parse(eval.out)["accuracy"], trained["accuracy"]);
}

TEST_F(SparseRun, TheModelIsDenseInItsFileAndMostlyZero) {
  has_a_dense_model("--sparse-method set", 0.8);
}
TEST_F(SparseRun, TheModelOfNToMIsDenseInItsFile) {
  has_a_dense_model("--sparse-method set --sparsity 0.75 --sparse-format 2:8", 0.75);
}

// Of each group of channels at one tap; 1: of the whole weight.
void SparseRun::begins_from_the_largest(const std::string& how, int64_t group) const {
  const std::string dense = dir_ / "dense";
  const std::string common =
      "train --model resnet18_cifar --width 0.25 --batch 16 --seed 3 --data " + dir_ / "data" +
      " --lr 1e-30 ";
  ASSERT_EQ(cli_test::thimble(common + "--run " + dense).exit_code, 0);
  const auto from = [&](const std::string& run, const std::string& file) {
    const Finished f = cli_test::thimble(common + how + " --sparse-method static --init " + file +
                                         " --run " + dir_ / run);
    EXPECT_EQ(f.exit_code, 0) << f.err;
    return dir_ / run + "/model.safetensors";
  };
  const std::string once = from("once", dense + "/model.safetensors");
  const std::string twice = from("twice", once);
  const SafetensorsReader a(dense + "/model.safetensors"), b(once), c(twice);
  int thinner = 0;
  for (const TensorEntry& e : a.entries()) {
    if (e.shape.size() < 2) continue;
    std::vector<float> x(static_cast<size_t>(e.bytes / 4)), y(x.size()), z(x.size());
    a.read(e.name, x.data(), e.bytes);
    b.read(e.name, y.data(), e.bytes);
    c.read(e.name, z.data(), e.bytes);
    EXPECT_TRUE(y == z) << e.name;
    const auto channels = static_cast<size_t>(e.shape[1]);
    const size_t taps = e.shape.size() > 2 ? static_cast<size_t>(e.shape[2] * e.shape[3]) : 1;
    const size_t size = group > 1 && channels % static_cast<size_t>(group) == 0
                            ? static_cast<size_t>(group)
                            : channels;
    std::map<size_t, float> least, largest;  // of what stays, of what goes
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t row = i / taps, tap = i % taps;
      const size_t g = group > 1 ? (row / size) * taps + tap : 0;
      if (y[i] != 0) {
        EXPECT_EQ(x[i], y[i]);
        least[g] = std::min(least.contains(g) ? least[g] : std::abs(x[i]), std::abs(x[i]));
      } else {
        largest[g] = std::max(largest[g], std::abs(x[i]));
      }
    }
    for (const auto& [g, value] : largest) EXPECT_LE(value, least.at(g)) << e.name << ' ' << g;
    thinner += !largest.empty();
  }
  EXPECT_GT(thinner, 3);
}

// A dense model keeps its largest weights; one with as many zeros is what it was.
TEST_F(SparseRun, BeginsFromTheLargestWeightsOfADenseModel) {
  begins_from_the_largest("--sparsity 0.8", 1);
}
TEST_F(SparseRun, OfNToMBeginsFromTheLargestOfEachGroup) {
  begins_from_the_largest("--sparse-format 2:8", 8);
}

void SparseRun::refuses_a_broken_index(const std::string& how,
                                       const std::vector<uint8_t>& broken) const {
  ASSERT_EQ(cli_test::thimble(line("run", how)).exit_code, 0);
  const std::string path = dir_ / "run/checkpoint.safetensors";
  data_test::Bytes bytes = read_file(path);
  const SafetensorsReader file(path);
  int64_t offset = std::ssize(bytes);
  for (auto e = file.entries().rbegin(); e != file.entries().rend(); ++e) {
    offset -= e->bytes;
    if (e->name.ends_with(kActive)) break;
  }
  std::copy(broken.begin(), broken.end(), bytes.begin() + offset);
  data_test::write_file(path, bytes);
  std::filesystem::remove(dir_ / "run/model.safetensors");
  const Finished f = cli_test::thimble(line("run", how + " --epochs 3 --resume"));
  EXPECT_EQ(f.exit_code, 2);
  EXPECT_NE(f.err.find("is no index of positions"), f.err.npos) << f.err;
}

TEST_F(SparseRun, ABrokenIndexIsOneError) {
  refuses_a_broken_index("", {77});  // units before the first tile
}
TEST_F(SparseRun, ABrokenIndexOfNToMIsOneError) {
  // The first two of a group at the same place.
  refuses_a_broken_index("--sparsity 0.75 --sparse-format 2:8", {0});
}

// Values of as many, but an index of another kind.
TEST_F(SparseRun, InitOfAnotherFormatNamesTheDenseModel) {
  ASSERT_EQ(cli_test::thimble(line("run",
                                   "--sparsity 0.75 --sparse-distribution uniform "
                                   "--sparse-method static"))
                .exit_code,
            0);
  const Finished f = cli_test::thimble(line("other", "--sparsity 0.75 --sparse-format 2:8 --init " +
                                                         dir_ / "run/checkpoint.safetensors"));
  EXPECT_EQ(f.exit_code, 2);
  EXPECT_NE(f.err.find("use the run's model.safetensors, which is dense"), f.err.npos) << f.err;
}

TEST(SparseFlags, SayWhatDoesNotGoTogether) {
  const auto refuses = [](const std::string& flags, const std::string& words) {
    const Finished f = cli_test::thimble("plan --model resnet18_cifar " + flags);
    EXPECT_EQ(f.exit_code, 2) << flags;
    EXPECT_NE(f.err.find(words), f.err.npos) << f.err;
  };
  refuses("--sparse-explored", "needs --sparsity, such as --sparsity 0.9, or --sparse-format N:M");
  refuses("--sparsity 0.9 --sparse-gradient 2", "belongs to --sparse-method mest");
  refuses("--sparsity 0.9 --sparse-format 2:4", "give sparse.sparsity 0.5, or 0");
  refuses("--sparse-format 2:4 --sparse-distribution erk", "the same share to each layer");
  refuses("--sparsity 0 --sparse-format 2:4", "--sparsity 0 is dense");
  refuses("--sparsity 0.9 --sparse-format 2x4", "needed positions, blocks or N:M, such as 2:4");
}

}  // namespace
}  // namespace thimble
