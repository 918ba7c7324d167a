#include "runtime/network_file.h"

#include <gtest/gtest.h>

#include "data/fixtures.h"
#include "models/small_network.h"
#include "runtime/safetensors.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

using data_test::TempDir;

// Ones everywhere.
void write(const std::string& path, const Network& network) {
  const std::vector<float> ones(4096, 1.0f);
  write_network(path, network, [&](const NetworkParameter&) { return ones.data(); });
}

Network without_inits(Network n) {
  for (NetworkParameter& p : n.parameters) p.init = {};
  return n;
}

void write_layers(const std::string& path, const std::string& json) {
  SafetensorsWriter(path, {}, {{"thimble.network", json}}).finish();
}

TEST(NetworkFile, GivesBackWhatWasWritten) {
  const TempDir dir;
  Network n = small_network(5);
  n.pixels = {{0.5, 0.25, 0.125}, {1, 2, 3}, true};
  n.layers.push_back({"leaky_relu", "spare \"\xc3\xa4\"", {"x"}, {"spare"}, {{"alpha", 0.1}}});
  write(dir / "n.thimble", n);
  EXPECT_EQ(read_network(dir / "n.thimble"), without_inits(n));
}

TEST(NetworkFile, IsASafetensorsFileForEveryone) {
  const TempDir dir;
  write(dir / "n.thimble", small_network(0));
  const SafetensorsReader reader(dir / "n.thimble");
  EXPECT_TRUE(reader.has("stem.weight"));
  EXPECT_EQ(reader.metadata().at("format"), "thimble-network");
}

TEST(NetworkFile, SaysWhatIsBroken) {
  const TempDir dir;
  const std::string path = dir / "n.thimble";
  SafetensorsWriter(path, {}).finish();
  expect_user_error([&] { read_network(path); },
                    "n.thimble: holds no network; hint: thimble import");
  write_layers(path, "[1");
  expect_user_error([&] { read_network(path); }, "n.thimble: its layers are no JSON object");
  write_layers(path, "{}");
  expect_user_error([&] { read_network(path); }, "n.thimble: its layers are broken: ");
  const auto layer = [&](const std::string& text) {
    write_layers(path, R"({"name": "n", "input": "i", "output": "o", "image": [1, 2, 3],
                           "statistics": [], "layers": [)" +
                           text + "]}");
  };
  layer(R"({"op": "conv3d", "name": "c", "inputs": ["i"], "outputs": ["o"], "attributes": {}})");
  expect_user_error([&] { read_network(path); }, "n.thimble: there is no op called 'conv3d'");
  layer(R"({"op": "relu", "name": "r", "inputs": [], "outputs": ["o"], "attributes": {}})");
  expect_user_error([&] { read_network(path); }, "layer r has no inputs or no outputs");
  layer(
      R"({"op": "relu", "name": "r", "inputs": ["i"], "outputs": ["o"], "attributes": {"a": 1}})");
  expect_user_error([&] { read_network(path); }, "layer r: relu has no attribute 'a'");
  layer(R"({"op": "elu", "name": "e", "inputs": ["i"], "outputs": ["o"],
            "attributes": {"alpha": "x"}})");
  expect_user_error([&] { read_network(path); }, "n.thimble: its layers are broken: ");
  layer(R"({"op": "linear", "name": "l", "inputs": ["i"], "outputs": ["o"], "attributes": {}})");
  expect_user_error([&] { read_network(path); }, "layer l lacks its input 'weights'");
  layer(R"({"op": "flatten", "name": "f", "inputs": ["o"], "outputs": ["o"], "attributes": {}})");
  expect_user_error([&] { read_network(path); }, "layer f reads o, which nothing makes before it");
  layer(R"({"op": "relu", "name": "r", "inputs": ["i"], "outputs": ["p"], "attributes": {}})");
  expect_user_error([&] { read_network(path); }, "nothing makes its output o");
}

}  // namespace
}  // namespace thimble
