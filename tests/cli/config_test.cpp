#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "child.h"
#include "support/sanitizers.h"

namespace thimble::cli_test {
namespace {

using nlohmann::json;

class CliConfig : public testing::Test {
 protected:
  std::string config(const std::string& text) const {
    std::ofstream(dir_ / "a.json") << text;
    return " --config '" + dir_ / "a.json" + "' ";
  }
  const TempDir dir_;
};

TEST_F(CliConfig, FlagsComeOnTop) {
  const std::string file = config(R"({"model": {"name": "lenet", "batch": 4}, "threads": 1})");
  EXPECT_CONTAINS(thimble("plan" + file).out, "plan: lenet, batch 4 takes");
  EXPECT_CONTAINS(thimble("plan --batch 2" + file).out, "plan: lenet, batch 2 takes");
  EXPECT_CONTAINS(thimble("plan" + file + "--batch=3").out, "plan: lenet, batch 3 takes");
}

TEST_F(CliConfig, ARunsFileIsOne) {
  const std::string file = config(R"({"model": {"name": "lenet", "batch": 4}, "threads": 1,
    "optimizer": {"schedule": "step", "step_epochs": [3, 6], "nesterov": true}})");
  EXPECT_EQ(thimble("plan" + file).exit_code, 0);
  EXPECT_EQ(thimble("plan --optimizer adam" + file).exit_code, 0);
}

TEST_F(CliConfig, SaysWhatIsWrong) {
  const Finished unknown = thimble("plan" + config(R"({"modell": {}})"));
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_CONTAINS(unknown.err, "unknown field modell");
  EXPECT_EQ(thimble("plan --config /nowhere.json").exit_code, 2);
  const auto refused = [&](const std::string& text, const std::string& words) {
    const Finished f = thimble("plan --model lenet" + config(text));
    EXPECT_EQ(f.exit_code, 2) << text;
    EXPECT_CONTAINS(f.err, words);
  };
  refused(R"({"sparse.sparsity": 0.9})", R"(write {"sparse": {"sparsity": ...}})");
  refused(R"({"epochs": 9223372036854775807})", "needs 1 to 1000000");
  refused(R"({"threads": -2})", "threads is -2, needs 0 to 1024");
  refused(R"({"checkpoint_every": -1})", "checkpoint_every is -1");
  refused(R"({"data": {"crop_pad": -3}})", "data.crop_pad is -3, needs 0 to 1024");
  refused(R"({"model": {"classes": -1}})", "model.classes is -1, needs 0 to");
  refused(R"({"patches": {"width_px": 64}})", "patches of pictures of 0x64");
  refused(R"({"patches": {"height": -64, "width_px": 64}})", "patches of pictures of -64x64");
  refused(R"({"sparse": {"method": "bogus"}})", "sparse.method is 'bogus', needs static");
  refused(R"({"min_snr_db": 0})", "min_snr_db is 0, needs 1 to 140");
}

TEST(CliWithout, TheTechniqueIsNotUsed) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const std::string line = "plan --json --model mobilenet_v1_patch --batch 16 --threads 1 ";
  const auto plan = [&](const std::string& more) { return json::parse(thimble(line + more).out); };
  const auto uses = [](const json& p, const std::string& name) {
    return std::any_of(p["techniques"].begin(), p["techniques"].end(),
                       [&](const json& t) { return t.get<std::string>().starts_with(name); });
  };
  const int64_t whole = plan("")["process_bytes"].get<int64_t>();
  const std::string budget = "--budget " + std::to_string(whole - (4 << 20));
  EXPECT_TRUE(uses(plan(budget), "recompute"));
  const json without = plan(budget + " --without recompute");
  EXPECT_FALSE(uses(without, "recompute"));
  EXPECT_EQ(without["fits"], false);
  const Finished unknown = thimble(line + "--without recompte");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_CONTAINS(unknown.err, "did you mean 'recompute'?");
}

}  // namespace
}  // namespace thimble::cli_test
