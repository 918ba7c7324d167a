#include "runtime/stack.h"

#include <gtest/gtest.h>

#include <fstream>

#include "runtime/fixtures.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

using runtime_test::TempDir;

std::vector<std::string> names_of(const std::vector<StackStep>& entries) {
  std::vector<std::string> names;
  for (const StackStep& e : entries) names.push_back(e.name);
  return names;
}

TEST(Stack, TheWearableOneAddsOneTechniqueAtATime) {
  const auto entries = read_stack("wearable-stack", false);
  EXPECT_EQ(names_of(entries), (std::vector<std::string>{"C1", "C2", "C3", "C4", "C5", "C6"}));
  const auto option = [&](size_t i) { return entries[i].options; };
  EXPECT_EQ(option(0).model.name, "resnet50");
  EXPECT_EQ(option(0).sparse.sparsity, 0);
  EXPECT_EQ(option(0).budget_bytes, 0);
  for (size_t i = 1; i < 6; ++i) EXPECT_EQ(option(i).sparse.sparsity, 0.9);
  for (size_t i = 2; i < 6; ++i) EXPECT_LT(option(i).budget_bytes, int64_t{2} << 30 | 1);
  EXPECT_EQ(option(3).budget_bytes, 85 << 20);
  EXPECT_EQ(option(5).budget_bytes, 22 << 20);
  EXPECT_EQ(option(5).patches.height, 224);
  EXPECT_EQ(option(5).model.batch, 96);
  EXPECT_EQ(entries[0].source_bytes, 9'300'000'000);
}

TEST(Stack, QuickAndAccuracyAreMergedIntoTheOptions) {
  const auto whole = read_stack("wearable-stack", false),
             quick = read_stack("wearable-stack", true);
  EXPECT_EQ(whole[0].training.model.height, 128);
  EXPECT_EQ(whole[0].training.epochs, 12);
  EXPECT_EQ(whole[5].training.patches.height, 128);
  EXPECT_EQ(whole[5].training.model.height, 64);
  EXPECT_EQ(whole[5].training.budget_bytes, 26 << 20);
  EXPECT_EQ(whole[0].training.allow, (std::vector<std::string>{"bf16"}));
  EXPECT_TRUE(whole[5].training.allow.empty());
  EXPECT_EQ(quick[0].options.model.height, 64);
  EXPECT_EQ(quick[0].options.model.name, "resnet50");
  EXPECT_EQ(quick[0].source_bytes, 0);
  EXPECT_EQ(quick[5].options.patches.height, 64);
  EXPECT_EQ(quick[5].options.model.height, 32);
  EXPECT_EQ(quick[0].training.epochs, 1);
}

TEST(Stack, ACopyReadsAsTheOriginal) {
  const TempDir dir;
  copy_stack("wearable-stack", dir / "mine");
  const auto copied = read_stack(dir / "mine", false), known = read_stack("wearable-stack", false);
  ASSERT_EQ(names_of(copied), names_of(known));
  EXPECT_EQ(copied[3].options.budget_bytes, known[3].options.budget_bytes);
  expect_user_error([&] { copy_stack("wearable-stack", dir / "mine"); }, "is there already");
}

TEST(Stack, SaysWhichFileIsWrong) {
  const TempDir dir;
  const auto error = [&](const std::string& stack, const std::string& config,
                         const std::string& words) {
    std::ofstream(dir / "stack.json") << stack;
    std::ofstream(dir / "a.json") << config;
    expect_user_error([&] { read_stack(dir.path(), false); }, words);
  };
  const std::string good = R"({"steps": [{"name": "A", "title": "t", "config": "a.json"}]})";
  error("[]", "{}", "stack.json: is not a JSON object");
  error("{}", "{}", "stack.json needs \"steps\", a list");
  error(R"({"step": []})", "{}", "stack.json: unknown field step; did you mean 'steps'?");
  error(R"({"steps": [{"name": "A", "title": "t", "config": "../a.json"}]})", "{}",
        "config '../a.json' must be a file beside it");
  error(R"({"steps": [{"name": "A"}]})", "{}", "stack.json needs a \"title\", a string");
  error(R"({"steps": [{"name": "A", "title": "t", "config": "b.json"}]})", "{}", "b.json");
  error(good, "nonsense", "a.json: is not a JSON object");
  error(good, R"({"epoch": 3})", "a.json: unknown field epoch");
  error(good, R"({"epochs": "3"})", "a.json: epochs is \"3\"");
  const auto with = [](const std::string& more) {
    return R"({"steps": [{"name": "A", "title": "t", "config": "a.json")" + more + "}]}";
  };
  error(with(R"(, "accuracy": 5)"), "{}", "stack.json: \"accuracy\" needs an object of options");
  error(with(R"(, "source_bytes": -1)"), "{}", "\"source_bytes\" needs a number of bytes");
  error(with(R"(, "source_bytes": 1e300)"), "{}", "\"source_bytes\" needs a number of bytes");
  error(R"({"steps": [{"name": "..", "title": "t", "config": "a.json"}]})", "{}",
        "the name '..' cannot be that of a folder");
  expect_user_error([] { read_stack("wearable", false); }, "there is no stack 'wearable'");
}

}  // namespace
}  // namespace thimble
