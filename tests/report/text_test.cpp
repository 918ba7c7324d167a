#include "report/text.h"

#include <gtest/gtest.h>

#include "made_up.h"
#include "report/prune.h"

namespace thimble::report_test {
namespace {

TrainOptions options() {
  TrainOptions o;
  o.model.name = "lenet";
  o.model.batch = 16;
  return o;
}

TEST(ReportText, PlanThatFits) {
  EXPECT_EQ(plan_text(made_up_plan(mebibytes(96)), options()),
            R"(plan: lenet, batch 16 takes 80.0 MiB of memory: fits in 96.0 MiB

  whole process    80.0 MiB  fixed + arena
  fixed            16.0 MiB  code, libraries, generated kernels
  arena            64.0 MiB  1.024 of its lower bound
  smallest budget  80.2 MiB  --budget 82176KiB
  step              12.3 ms  predicted

memory at the peak step, backward conv2d stem.conv
  fixed        16.0 MiB  █████░░░░░░░░░░░░░░░░░░░
  weights      8.00 MiB  ██░░░░░░░░░░░░░░░░░░░░░░
  optimizer    4.00 MiB  █░░░░░░░░░░░░░░░░░░░░░░░
  gradients    1.00 MiB  ░░░░░░░░░░░░░░░░░░░░░░░░
  saved        30.0 MiB  █████████░░░░░░░░░░░░░░░
  temporaries  15.0 MiB  █████░░░░░░░░░░░░░░░░░░░
  scratchpad   2.00 MiB  █░░░░░░░░░░░░░░░░░░░░░░░
  data         4.00 MiB  █░░░░░░░░░░░░░░░░░░░░░░░

largest there
  16.0 MiB  fixed        code, libraries, kernels
  12.0 MiB  saved        stem.conv.dst
  9.50 MiB  temporaries  stem.conv.diff_dst

techniques: order: as written, in_place (bit_exact)

what would lower it
  * a smaller --batch: 51.0 MiB at the peak grow with it
  * a smaller --input: 51.0 MiB at the peak grow with its pixels
  * a smaller --width: weights and what belongs to them take 13.0 MiB
  * --momentum 0: no optimizer state (4.00 MiB)
)");
}

TEST(ReportText, TechniquesSayWhatTheySaveAndCost) {
  PlanReport plan = made_up_plan(0);
  plan.uses = {{"order", "early_update", mebibytes(12), 0},
               {"microbatch", "2 of 8 examples", -4096, 0.0021},
               {"bf16", "", mebibytes(30), -0.004}};
  EXPECT_NE(plan_text(plan, options()).find(R"(
techniques (bit_exact), each beside those above it, about
                  saves      time
  order        12.0 MiB            early_update
  microbatch  -4.00 KiB  +2.10 ms  2 of 8 examples
  bf16         30.0 MiB  -4.00 ms

)"),
            std::string::npos)
      << plan_text(plan, options());
}

TEST(ReportText, AnAllowanceThatFitsIsOfferedFirst) {
  PlanReport plan = made_up_plan(mebibytes(64));
  plan.allowances = {{{"bf16"}, {"round to 8 bits"}, true, mebibytes(48), 0.01}};
  EXPECT_EQ(ways_to_lower(plan, options()).front(),
            "--allow bf16: fits, taking about 48.0 MiB and 10.0 ms a step; you accept to round to "
            "8 bits");
  plan.allowances = {{{"a", "b"}, {"lose", "wait"}, false, mebibytes(70), 0}};
  EXPECT_EQ(ways_to_lower(plan, options()).front(),
            "--allow a,b: still takes about 70.0 MiB; you accept to lose, and to wait");
}

TEST(ReportText, AnAllowanceOfNoUseIsNotOffered) {
  PlanReport plan = made_up_plan(mebibytes(64));
  plan.allowances = {{{"bf16"}, {"round"}, false, mebibytes(80), 0.01}};
  EXPECT_EQ(ways_to_lower(plan, options()), ways_to_lower(made_up_plan(mebibytes(64)), options()));
}

TEST(ReportText, PlanBeginsWithTheAnswer) {
  const auto first_line = [](int64_t budget_bytes) {
    const std::string text = plan_text(made_up_plan(budget_bytes), options());
    return text.substr(0, text.find('\n'));
  };
  EXPECT_EQ(first_line(0), "plan: lenet, batch 16 takes 80.0 MiB of memory (no budget given)");
  EXPECT_EQ(first_line(mebibytes(64)),
            "plan: lenet, batch 16 takes 80.0 MiB of memory: DOES NOT FIT in 64.0 MiB");
}

TEST(ReportText, AsciiStyleHasNoOtherCharacters) {
  const std::string text = plan_text(made_up_plan(0), options(), {false});
  EXPECT_NE(text.find("  weights      8.00 MiB  ##......................\n"), std::string::npos);
  for (char c : text) EXPECT_GE(c, 0);
}

TEST(ReportText, RefusalNamesBudgetSmallestBudgetAndPeak) {
  const PlanReport plan = made_up_plan(mebibytes(64));
  EXPECT_EQ(refusal_text(plan, "training", {"a smaller --batch"}),
            R"(does not fit: training takes 80.0 MiB and the budget is 64.0 MiB
smallest budget that fits: --budget 82176KiB (80.2 MiB)
peak step: backward conv2d stem.conv; largest there
  16.0 MiB  fixed        code, libraries, kernels
  12.0 MiB  saved        stem.conv.dst
  9.50 MiB  temporaries  stem.conv.diff_dst
what to try
  * a smaller --batch
)");
}

TEST(ReportText, AdamIsToldToTrySgd) {
  TrainOptions o = options();
  o.optimizer.name = "adam";
  EXPECT_EQ(ways_to_lower(made_up_plan(0), o).back(),
            "--optimizer sgd: one number of state a weight; adam keeps two (4.00 MiB)");
}

TEST(ReportText, NobodyIsToldToGiveUpWhatIsNotThere) {
  TrainOptions o = options();
  o.model.batch = 1;
  PlanReport plan = made_up_plan(0);
  plan.by_category[1] = 0;  // no optimizer state
  EXPECT_EQ(ways_to_lower(plan, o),
            (std::vector<std::string>{
                "a smaller --input: 51.0 MiB at the peak grow with its pixels",
                "a smaller --width: weights and what belongs to them take 9.00 MiB"}));
}

TEST(ReportText, WaysBeginWithTheLargestPart) {
  PlanReport plan = made_up_plan(0);
  plan.by_category[0] = mebibytes(100);
  EXPECT_EQ(ways_to_lower(plan, options()).front(),
            "a smaller --width: weights and what belongs to them take 105.0 MiB");
}

TEST(ReportText, BudgetBelowTheProgramItselfSaysThatNoModelHelps) {
  const std::vector<std::string> ways = ways_to_lower(made_up_plan(mebibytes(10)), options());
  EXPECT_EQ(ways.front(),
            "a larger --budget: the program itself takes 16.0 MiB, whatever the model");
}

TEST(ReportText, ResultEndsInTheContract) {
  EXPECT_EQ(result_text(made_up_run(mebibytes(96))), R"(test accuracy 0.8815, test loss 0.3312
5321 images/s, median step 3.10 ms
trained model: runs/a/model.safetensors

  memory                             bytes
  budget               96.0 MiB  100663296
  planned              80.0 MiB   83886080
  measured peak        79.0 MiB   82837504
  fixed                16.0 MiB   16777216
  arena                64.0 MiB   67108864
  lower bound          62.5 MiB   65536000
  measured / planned      0.988
  arena / lower bound     1.024
  headroom             17.0 MiB   17825792
  PASS: the peak stayed inside the budget
)");
}

TEST(ReportText, ContractSaysWhenTheBudgetWasExceeded) {
  const std::string text = contract_text(made_up_plan(mebibytes(80)), mebibytes(81));
  EXPECT_NE(text.find("  EXCEEDED: the peak is 1.00 MiB above the budget\n"), std::string::npos);
  EXPECT_EQ(text.find("PASS"), std::string::npos);
}

TEST(ReportText, ContractHoldsToTheLastByte) {
  const PlanReport plan = made_up_plan(mebibytes(80));
  EXPECT_NE(contract_text(plan, mebibytes(80)).find("PASS"), std::string::npos);
  EXPECT_NE(contract_text(plan, mebibytes(80) + 1).find("EXCEEDED"), std::string::npos);
}

TEST(ReportText, ContractWithoutBudgetPromisesNothing) {
  const std::string text = contract_text(made_up_plan(0), mebibytes(79));
  EXPECT_NE(text.find("  no budget was given\n"), std::string::npos);
  EXPECT_EQ(text.find("PASS"), std::string::npos);
  EXPECT_EQ(text.find("headroom"), std::string::npos);
}

TEST(ReportText, EvaluationCountsExamplesAndSkippedOnes) {
  EvalReport report;
  report.plan = made_up_plan(0);
  report.evaluated = true;
  report.weights_file = "run/checkpoint.safetensors";
  report.examples = 9998;
  report.samples_per_second = 31.42;
  report.loss = 0.4;
  report.accuracy = 0.875;
  report.skipped_examples = 2;
  const std::string text = result_text(report);
  EXPECT_EQ(text.substr(0, text.find("\n\n")),
            "run/checkpoint.safetensors\ntest accuracy 0.8750, test loss 0.4000 over 9998 "
            "examples\n31.4 images/s\nskipped 2 broken examples");
}

TEST(ReportText, ProfileLinesUp) {
  EXPECT_EQ(
      profile_text(Profile{made_up_layers(), 351.7}),
      R"(  layer      op                     output      params  forward  backward     saved      temp
  stem.conv  conv2d                 8x32x16x16     864    12.3M     24.7M  1.00 MiB  4.00 KiB
  loss       softmax_cross_entropy  scalar           0      100       200     320 B      64 B
  total                                            864    12.3M     24.7M  1.00 MiB  4.00 KiB
  forward and backward in FLOPs; temp in total: the largest
  the arena grows by 352 bytes with each pixel of the input
)");
}

TEST(ReportText, BlocksLineUpInTwoConventions) {
  const std::string text = profile_text(made_up_block_profile());
  EXPECT_EQ(text.substr(text.find("\n\n") + 1), R"(
  activations in MB (10^6 bytes): one example as the paper counts, then 4 in the plan

  block              temporary  cumulative   peak  temporary  cumulative   peak
  stem                   2.208       0.050  2.208      3.000       0.060  3.000
  block1  sensitive      5.620       0.831  5.720      9.000       1.000  9.500
  head                   0.314       1.940  2.240      0.400       2.000  2.100
  all                    5.620       1.940  5.720      9.000       2.000  9.500
  sensitive: more for a moment than is kept of all; `thimble prune` makes it less
  the paper's bytes of training: 50.53 MB, with frozen weights in 8 bits
)");
}

TEST(ReportText, PruningSaysWhatIsLeft) {
  EXPECT_EQ(prune_text(made_up_pruning()),
            R"(  block   hidden  kept  ratio      temporary           peak
  block2      96    21   0.78  5.620 > 1.857  5.720 > 1.926
  all                          5.620 > 1.907  5.720 > 2.021
  activations of one example in MB (10^6 bytes), as `thimble profile` counts
  kept for the backward pass: 1.940 > 1.677 MB; parameters: 3.50M > 3.49M
  the peak is at block13; channels were ranked on 128 pictures
pruned.thimble
  hint: less accurate until it is trained again: thimble train --model pruned.thimble
)");
}

TEST(ReportText, PruningSaysWhereTheTargetIsNotReached) {
  PruneReport report = made_up_pruning();
  report.blocks[0].reached = false;
  EXPECT_NE(prune_text(report).find("not reached, with a single channel left: block2; what else "
                                    "goes in and comes out takes more than 2.000 MB"),
            std::string::npos);
}

TEST(ReportText, ListingLinesUp) {
  EXPECT_EQ(listing_text({{"lenet", "small"}, {"resnet50", "large"}}),
            "  lenet     small\n  resnet50  large\n");
}

}  // namespace
}  // namespace thimble::report_test
