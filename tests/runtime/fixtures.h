#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/random.h"
#include "cli/child.h"

namespace thimble::runtime_test {

using cli_test::TempDir;

// Grey 28x28 pictures with noise, a bright bar at a place that tells the class.
inline void write_bars(const std::string& folder, uint32_t train, uint32_t test) {
  const auto write = [&](const std::string& prefix, uint32_t count, uint64_t seed) {
    data_test::Bytes images, labels;
    for (uint32_t value : {0x803u, count, 28u, 28u}) data_test::append_u32(images, value);
    const RandomStream random(seed, 0);
    for (uint32_t i = 0; i < count; ++i) {
      const auto label = static_cast<uint8_t>(random.below(1000000 + i, 10));
      labels.push_back(label);
      for (uint32_t p = 0; p < 28 * 28; ++p) {
        const bool bar = p / 28 / 2 == label + 2u;
        const auto noise = random.below(uint64_t{i} * 784 + p, 100);
        images.push_back(static_cast<uint8_t>(noise + (bar ? 150 : 0)));
      }
    }
    data_test::write_file(folder + prefix + "-images-idx3-ubyte", images);
    data_test::write_file(folder + prefix + "-labels-idx1-ubyte", data_test::idx_labels(labels));
  };
  write("/train", train, 1);
  write("/t10k", test, 2);
}

// Runs `thimble` with a line of training that writes the folder `run`, each time a little longer
// before SIGKILL than the last, until it ends by itself. Returns how often it was killed.
inline int kill_until_done(
    const std::string& line, const std::string& run, double seconds,
    const std::function<void()>& after_each = [] {}) {
  int killed = 0;
  for (; killed < 100; seconds *= 1.25, ++killed) {
    const bool resume = std::filesystem::exists(run + "/checkpoint.safetensors");
    const cli_test::Finished f = cli_test::shell(
        str_cat("timeout -s KILL ", seconds, " $thimble ", line, resume ? " --resume" : ""));
    after_each();
    if (f.exit_code == 137) continue;
    EXPECT_EQ(f.exit_code, 0) << f.err;
    break;
  }
  return killed;
}

}  // namespace thimble::runtime_test
