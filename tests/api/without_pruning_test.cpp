#include <gtest/gtest.h>

#include <map>

#include "runtime/fixtures.h"
#include "runtime/safetensors.h"
#include "support/distance.h"
#include "thimble/thimble.h"

namespace thimble {
namespace {

using cli_test::TempDir;

// MobileNetV2 1.0 at 224x224 with Rep-Net, one picture, 200 classes, as in the table of
// "Efficient On-device Transfer Learning using Activation Memory Reduction".
class WithoutPruning : public testing::Test {
 protected:
  WithoutPruning() {
    for (const char* part : {"train/a/1", "train/b/2", "train/b/3", "test/a/4", "test/b/5"}) {
      data_test::write_png(str_cat(dir_ / "data/", part, ".png"), 224, 224,
                           [=](int y, int x, int c) { return (part[8] * y + x * c) % 256; });
    }
    options_.model.name = "mobilenet_v2";
    options_.model.classes = 200;
    options_.model.batch = 1;
    options_.model.norm =
        "frozen";  // the backbone's; those beside it take the picture's statistics
    options_.model.side = "rep-net";
    options_.model.train = "side,head";
    options_.data.path = dir_ / "data";
    options_.threads = 1;
    // Which stages run again is a matter of speed as well: a board like a Raspberry Pi.
    options_.device_file = dir_ / "board.json";
    const std::string rates = R"({"gflops": 8, "gb_per_s": 2.5})";
    data_test::write_file(options_.device_file, data_test::Bytes(rates.begin(), rates.end()));
  }

  TrainReport trained_in(const std::string& run, int64_t budget) const {
    TrainOptions o = options_;
    o.run_folder = dir_ / run;
    o.budget_bytes = budget;
    return train(o);
  }

  const TempDir dir_;
  TrainOptions options_;
};

std::map<std::string, std::vector<double>> values(const std::string& file) {
  const SafetensorsReader reader(file);
  std::map<std::string, std::vector<double>> all;
  for (const TensorEntry& e : reader.entries()) {
    std::vector<float> values(static_cast<size_t>(e.bytes) / sizeof(float));
    reader.read(e.name, values.data(), e.bytes);
    all[e.name].assign(values.begin(), values.end());
  }
  return all;
}

// The arena but for what any plan holds: weights, the optimizer's state, and two batches of
// pictures. The paper's own network, pruned, takes 2.021 MB for it.
TEST_F(WithoutPruning, BandsOfRowsTakeAsLittleForActivations) {
  options_.budget_bytes = 1;
  const PlanReport p = plan(options_);
  int64_t activations = p.arena_bytes;
  for (size_t c = 0; c < p.by_category.size(); ++c) {
    const std::string name = kCategoryNames[c];
    if (name == "weights" || name == "optimizer" || name == "data") activations -= p.by_category[c];
  }
  EXPECT_LE(activations, 2'100'000);
  EXPECT_EQ(p.promise, "same_math");

  const TrainReport whole = trained_in("whole", 0);
  const TrainReport banded = trained_in("banded", p.smallest_budget_bytes);
  ASSERT_TRUE(whole.plan.fits && banded.plan.fits);
  EXPECT_LE(banded.peak_rss_bytes, p.smallest_budget_bytes);
  EXPECT_NEAR(banded.loss, whole.loss, 1e-5 * whole.loss);
  const auto all = values(whole.weights_file);
  int64_t trained = 0;
  for (const auto& [name, got] : values(banded.weights_file)) {
    const bool same = got == all.at(name);  // zeros, for one
    EXPECT_LE(same ? 0 : relative_distance(got, all.at(name)), 1e-4) << name;
    // Begins as zeros.
    if (name.starts_with("side.") && name.ends_with("norm2.weight")) trained += got[0] != 0;
  }
  EXPECT_EQ(trained, 6);
}

}  // namespace
}  // namespace thimble
