#include <gtest/gtest.h>

#include "models/channels.h"
#include "models/hidden_network.h"
#include "runtime/fixtures.h"
#include "runtime/network_file.h"
#include "runtime/safetensors.h"
#include "support/expect_error.h"
#include "thimble/thimble.h"

namespace thimble {
namespace {

using cli_test::TempDir;

std::vector<float> tensor(const std::string& file, const std::string& name, size_t count) {
  std::vector<float> values(count);
  SafetensorsReader(file).read(name, values.data(), static_cast<int64_t>(count * sizeof(float)));
  return values;
}

// A trained network and pictures.
class PruneFile : public testing::Test {
 protected:
  PruneFile() {
    runtime_test::write_bars(dir_ / "data", 40, 10);
    weights_ = drawn(network_);
    options_.model.name = dir_ / "whole.thimble";
    options_.model.batch = 8;
    options_.model.train = "head";
    options_.data.path = dir_ / "data";
    options_.threads = 1;
    choice_.to = dir_ / "pruned.thimble";
    choice_.examples = 20;
  }
  void write() {
    write_network(options_.model.name, network_,
                  [&](const NetworkParameter& p) { return weights_.at(p.name).data(); });
  }
  // Those channels of block b are zero behind both of its norms.
  void silence(const std::set<size_t>& channels) {
    for (const char* norm : {"b.expand.norm", "b.depthwise.norm"}) {
      for (const char* part : {".weight", ".bias"}) {
        for (size_t c : channels) weights_.at(std::string(norm) + part)[c] = 0;
      }
    }
  }

  TempDir dir_;
  const Network network_ = hidden_network({1, 28, 28});
  Weights weights_;
  TrainOptions options_;
  PruneChoice choice_;
};

TEST_F(PruneFile, RemovesTheChannelsThatSayLeast) {
  silence({2, 5});
  write();
  choice_.blocks = "b";
  // 4 channels go into block b at 14x14 and 8 are made of them: 6 of those may stay.
  choice_.target_bytes = (4 + 6) * 14 * 14 * 4;
  const PruneReport report = prune(options_, choice_);
  ASSERT_EQ(report.blocks.size(), 1u);
  const PrunedBlock& b = report.blocks[0];
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.channels_before, 8);
  EXPECT_EQ(b.channels, 6);
  EXPECT_EQ(b.ratio, 0.25);
  EXPECT_TRUE(b.reached);
  EXPECT_EQ(b.before.peak_bytes, (4 + 8) * 14 * 14 * 4);
  EXPECT_EQ(b.after.peak_bytes, choice_.target_bytes);
  EXPECT_EQ(report.examples, 24);  // whole batches
  const Network smaller = read_network(choice_.to);
  EXPECT_EQ(smaller.image, network_.image);
  EXPECT_EQ(report.parameters_before - report.parameters, 2 * (4 + 2 + 9 + 2 + 4));
  const std::vector<float>& gamma = weights_.at("b.expand.norm.weight");
  EXPECT_EQ(tensor(choice_.to, "b.expand.norm.weight", 6),
            (std::vector<float>{gamma[0], gamma[1], gamma[3], gamma[4], gamma[6], gamma[7]}));
  EXPECT_EQ(tensor(choice_.to, "fc.weight", 40), weights_.at("fc.weight"));
}

// What it gives is trained like any other.
TEST_F(PruneFile, GivesANetworkThatTrains) {
  write();
  choice_.blocks = "1-3";
  choice_.target_bytes = 5000;
  prune(options_, choice_);
  options_.model.name = choice_.to;
  options_.model.train = "all";
  EXPECT_TRUE(train(options_).trained);
}

// Nothing is kept when the head alone is trained.
TEST_F(PruneFile, TakesTheSensitiveBlocksByItself) {
  write();
  choice_.target_bytes = 9000;
  const PruneReport report = prune(options_, choice_);
  std::vector<std::string> names;
  for (const PrunedBlock& b : report.blocks) {
    names.push_back(b.name);
    EXPECT_GT(b.before.peak_bytes, 9000);
    EXPECT_EQ(b.after.peak_bytes <= 9000, b.reached) << b.name;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"b", "c"}));
}

TEST_F(PruneFile, RefusesWhatItCannotDo) {
  write();
  const auto expect_refused = [&](const std::string& message) {
    expect_user_error([&] { prune(options_, choice_); }, message);
  };
  choice_.blocks = "4";
  expect_refused(
      "there is no block '4'; needed auto, all, or numbers from 1 to 3 and names, such as 1-2,c");
  choice_.blocks = "2-1";
  expect_refused(
      "there is no block '2-1'; needed auto, all, or numbers from 1 to 3 and names, such as 1-2,c");
  choice_.blocks = "auto";
  choice_.target_bytes = 1 << 20;
  expect_refused(
      "no sensitive block takes more than 1.00 MiB: nothing to remove; hint: a smaller --to, "
      "--blocks all, or name them");
  choice_.to = "pruned.onnx";
  expect_refused("the pruned network is written to a file called *.thimble, and not 'pruned.onnx'");
  choice_.to = dir_ / "pruned.thimble";
  options_.model.name = "lenet";
  expect_refused(
      "pruning ranks the channels of a trained network, and lenet has no weights; name a "
      "*.thimble or *.onnx file with --model, or the weights with --init");
  options_.data.path.clear();
  expect_refused("pruning ranks channels by their activations on training pictures: name --data");
}

TEST_F(PruneFile, SaysThatANetworkHasNoBlocks) {
  WrittenNetwork w("plain", {1, 28, 28});
  w.classify(w.conv("second", w.conv("first", w.network.input, 4, 3), 4, 3), 10);
  write_network(options_.model.name, w.network,
                [weights = drawn(w.network)](const NetworkParameter& p) {
                  return weights.at(p.name).data();
                });
  expect_user_error([&] { prune(options_, choice_); },
                    "plain has no blocks (residual, inverted, separable or joined) whose hidden "
                    "channels could be removed");
}

}  // namespace
}  // namespace thimble
