#include "cli/values.h"

#include "cli/exit_code.h"
#include "support/expect_error.h"

namespace thimble::cli {
namespace {

TEST(CliValues, InputTakesOneTwoOrThreeSizes) {
  EXPECT_EQ(parse_input("--input", "224"), (InputSize{0, 224, 224}));
  EXPECT_EQ(parse_input("--input", "32x48"), (InputSize{0, 32, 48}));
  EXPECT_EQ(parse_input("--input", "1x28x28"), (InputSize{1, 28, 28}));
}

TEST(CliValues, InputRefusesTheRest) {
  for (const char* text : {"", "x", "3x", "x3", "0", "-1", "2.5", "1x2x3x4", "32X32", "65537",
                           "99999999999999999999", " 32"}) {
    expect_user_error([&] { parse_input("--input", text); },
                      str_cat("--input is '", text, "', needs the size of images"));
  }
}

TEST(CliValues, IntegerStaysInItsRange) {
  EXPECT_EQ(parse_integer("--batch", "1", 1, 8), 1);
  EXPECT_EQ(parse_integer("--batch", "8", 1, 8), 8);
  for (const char* text : {"0", "9", "-3", "", "3.0", "1e1", "8 ", "99999999999999999999"}) {
    expect_user_error([&] { parse_integer("--batch", text, 1, 8); },
                      str_cat("--batch is '", text, "', needs a whole number from 1 to 8"));
  }
}

TEST(CliValues, RealStaysInItsInterval) {
  EXPECT_EQ(parse_real("--momentum", "0", {0, 1, false, true}), 0);
  EXPECT_EQ(parse_real("--lr", "5e-4", {0, 1}), 5e-4);
  for (const char* text : {"1", "-0.1", "nan", "inf", "", "0.5x"}) {
    expect_user_error(
        [&] {
          parse_real("--momentum", text, {0, 1, false, true});
        },
        str_cat("--momentum is '", text, "', needs a number of at least 0 and below 1"));
  }
  expect_user_error(
      [] {
        parse_real("--width", "0", {0, 16, true});
      },
      "--width is '0', needs a number above 0 and at most 16");
}

TEST(CliValues, SeedTakesAll64Bits) {
  EXPECT_EQ(parse_seed("--seed", "18446744073709551615"), UINT64_MAX);
  expect_user_error([] { parse_seed("--seed", "-1"); }, "--seed is '-1'");
  expect_user_error([] { parse_seed("--seed", "18446744073709551616"); }, "--seed is");
}

TEST(CliValues, PairIsSplitAtTheFirstSign) {
  EXPECT_EQ(parse_pair("--option", "a=b=c"), (std::pair<std::string, std::string>("a", "b=c")));
  for (const char* text : {"", "a", "=b", "a="}) {
    expect_user_error([&] { parse_pair("--option", text); },
                      str_cat("--option is '", text, "', needs key=value"));
  }
}

TEST(CliValues, EpochsRise) {
  EXPECT_EQ(parse_epochs("--step-epochs", "30,60"), (std::vector<int64_t>{30, 60}));
  for (const char* text : {"", "0", "30,30", "60,30", "30,", "a"}) {
    expect_user_error([&] { parse_epochs("--step-epochs", text); }, "needs rising epochs");
  }
}

TEST(CliValues, ChoiceSuggestsTheNearest) {
  EXPECT_EQ(parse_choice("--norm", "group", {"batch", "group"}), "group");
  expect_user_error(
      [] {
        parse_choice("--norm", "btach", {"batch", "group"});
      },
      "--norm is 'btach', needs one of batch, group; did you mean 'batch'?");
}

TEST(CliValues, NothingNearMeansNoSuggestion) {
  EXPECT_EQ(did_you_mean("zzzzzzzz", {"train", "plan"}), "");
  EXPECT_EQ(did_you_mean("--bacth", {"--budget", "--batch"}), "; did you mean '--batch'?");
}

TEST(CliExitCode, FollowsTheKindOfError) {
  EXPECT_EQ(exit_code(UserError("")), 2);
  EXPECT_EQ(exit_code(InternalError("")), 1);
  EXPECT_EQ(exit_code(std::bad_alloc()), 1);
}

}  // namespace
}  // namespace thimble::cli
