#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "models/hidden_network.h"
#include "runtime/fixtures.h"
#include "runtime/network_file.h"

namespace thimble::cli_test {
namespace {

TEST(CliPrune, WritesASmallerNetworkAndSaysWhatIsLeft) {
  const TempDir dir;
  runtime_test::write_bars(dir / "data", 40, 10);
  const Network network = hidden_network({1, 28, 28});
  write_network(
      dir / "net.thimble", network,
      [weights = drawn(network)](const NetworkParameter& p) { return weights.at(p.name).data(); });
  const std::string line = "prune --model '" + dir / "net.thimble" + "' --data '" + dir / "data" +
                           "' --batch 8 --threads 1 --train head --blocks b --to 7840 -o '" +
                           dir / "small.thimble" + "'";
  const Finished text = thimble(line);
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.out.find("b           8     6   0.25  0.009 > 0.008"), text.out.npos) << text.out;
  EXPECT_NE(text.out.find("thimble train --model"), text.out.npos);
  const Finished run = thimble(line + " --json");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto report = nlohmann::json::parse(run.out);
  EXPECT_EQ(report["blocks"][0]["channels"], 6);
  EXPECT_EQ(report["file"], dir / "small.thimble");
  EXPECT_EQ(thimble("profile --json --threads 1 --batch 2 --model '" + dir / "small.thimble" + "'")
                .exit_code,
            0);
}

TEST(CliPrune, NeedsAFileToWrite) {
  const Finished run = thimble("prune --model net.thimble --data x");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("prune needs -o: a file called *.thimble"), run.err.npos) << run.err;
}

}  // namespace
}  // namespace thimble::cli_test
