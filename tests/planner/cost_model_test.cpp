#include "planner/cost_model.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "autodiff/differentiate.h"
#include "cli/child.h"
#include "models/model.h"

namespace thimble {
namespace {

using cli_test::TempDir;

Schedule training_schedule(const std::string& model, int64_t batch) {
  ModelOptions o;
  o.batch = batch;
  const Graph forward = build_model(model, o);
  std::vector<NamedLayout> layouts;
  return make_schedule(
      add_optimizer(differentiate(forward, forward.find("loss")), {"sgd", {{"momentum", 0.9}}}),
      *make_backend("portable"), layouts);
}

TEST(PredictSeconds, EachStepTakesTheLongerOfArithmeticAndTraffic) {
  Schedule s;
  Buffer b;
  b.bytes = 600;
  s.buffers = {b, b};
  Step busy, wide;
  busy.inputs = {0, kNoBuffer};
  busy.outputs = {1};
  busy.flops = 5000;
  wide = busy;
  wide.flops = 10;
  s.steps = {busy, wide};
  // 1200 bytes at 1200 B/s are a second; 5000 flops at 1000/s five.
  EXPECT_DOUBLE_EQ(predict_seconds(s, {1000, 1200, 0.25}), 5 + 1 + 2 * 0.25);
  // With a bf16 operand the arithmetic goes at that speed, where it is known.
  EXPECT_DOUBLE_EQ(predict_seconds(s, {1000, 1200, 0.25, 2000}), 5 + 1 + 2 * 0.25);
  s.buffers[0].type = ElementType::bf16;
  EXPECT_DOUBLE_EQ(predict_seconds(s, {1000, 1200, 0.25, 2000}), 2.5 + 1 + 2 * 0.25);
  EXPECT_DOUBLE_EQ(predict_seconds(s, {1000, 1200, 0.25}), 5 + 1 + 2 * 0.25);
}

// 600 bytes at 100 B/s are six seconds, at 300 two; kernels of five seconds run beside them.
TEST(PredictSeconds, PagingTakesWhatIsWaitedFor) {
  Schedule s;
  Buffer b;
  b.bytes = 600;
  s.buffers = {b, b, b, b, b};
  const auto paging = [](Paging what, std::vector<BufferId> in, BufferId out) {
    Step step;
    step.paging = what;
    step.inputs = std::move(in);
    step.outputs = {out};
    return step;
  };
  Step busy;
  busy.flops = 5000;
  const Step out = paging(Paging::start_write, {0}, 1);
  const Step out_end = paging(Paging::end_write, {0, 1}, 2);
  const Step in = paging(Paging::start_read, {2}, 3);
  const Step in_end = paging(Paging::end_read, {3}, 4);
  Machine m = {1000, 1200, 0};
  m.storage = {100, 300};
  const auto seconds = [&](std::vector<Step> steps) {
    s.steps = std::move(steps);
    return predict_seconds(s, m);
  };
  EXPECT_DOUBLE_EQ(seconds({out, out_end, busy, in, in_end}), 6 + 5 + 2);
  EXPECT_DOUBLE_EQ(seconds({out, busy, out_end, in, in_end}), 6 + 2);
  EXPECT_DOUBLE_EQ(seconds({out, busy, out_end, in, busy, in_end}), 6 + 5);
  // The storage does one after the other.
  EXPECT_DOUBLE_EQ(seconds({out, in, busy, in_end, out_end}), 6 + 2);
  s.microbatches = 3;
  EXPECT_DOUBLE_EQ(seconds({out, busy, out_end, in, in_end}), 3 * (6 + 2));
  EXPECT_EQ(s.paged_bytes(), 600);
  // Copying takes a processor from the kernels, unless these wait anyway.
  m.storage.copy_seconds_per_byte = 0.001;
  s.microbatches = 1;
  EXPECT_DOUBLE_EQ(seconds({out, out_end, busy, in, in_end}), 6 + 5 + 2);
  EXPECT_DOUBLE_EQ(seconds({out, busy, busy, out_end, in, in_end}), 0.6 + 10 + 2);
}

TEST(PredictSeconds, IsPositiveAndGrowsWithTheBatch) {
  constexpr Machine kMachine = {1e11, 1e10, 1e-6};
  for (const Model* model : models()) {
    double before = 0;
    for (int64_t batch : {1, 2, 8, 32}) {
      const double seconds = predict_seconds(training_schedule(model->name, batch), kMachine);
      EXPECT_GT(seconds, before) << model->name << " batch " << batch;
      before = seconds;
    }
  }
}

TEST(PredictSeconds, IsZeroForAMachineThatWasNotMeasured) {
  EXPECT_EQ(predict_seconds(training_schedule("lenet", 1), {}), 0);
}

TEST(KnownMachine, IsAllZeroWithoutACacheFileThatMakesSense) {
  const TempDir dir;
  const std::string file = dir / "machine.txt";
  EXPECT_EQ(known_machine(""), Machine{});
  EXPECT_EQ(known_machine(file), Machine{});
  for (const char* text :
       {"", "no", "1e11", "1e11 -1e10 1e-6 1e11", "0 1e10 1e-6 1e11", "1e11 1e10 1e-6"}) {
    std::ofstream(file) << machine_identity() << '\n' << text;
    EXPECT_EQ(known_machine(file), Machine{}) << text;
  }
}

TEST(MeasureMachine, ReadsItsCacheFile) {
  const TempDir dir;
  const std::string file = dir / "machine.txt";
  std::ofstream(file) << machine_identity() << "\n1.5e11 2.5e10 3e-6 4e11\n";
  EXPECT_EQ(known_machine(file), (Machine{1.5e11, 2.5e10, 3e-6, 4e11}));
  EXPECT_EQ(measure_machine("portable", 1, file), (Machine{1.5e11, 2.5e10, 3e-6, 4e11}));
}

TEST(KnownMachine, IsAllZeroForAnotherMachineOrThimble) {
  const TempDir dir;
  const std::string file = dir / "machine.txt";
  const std::string ours = machine_identity();
  EXPECT_EQ(ours.find("thimble "), 0);
  const std::string other_version = "thimble 0.0.1" + ours.substr(ours.find(" on "));
  for (const std::string& first_line :
       {ours + " II", other_version, std::string("thimble"), std::string()}) {
    std::ofstream(file) << first_line << "\n1.5e11 2.5e10 3e-6 4e11\n";
    EXPECT_EQ(known_machine(file), Machine{}) << first_line;
  }
  std::ofstream(file) << "1.5e11 2.5e10 3e-6 4e11\n";
  EXPECT_EQ(known_machine(file), Machine{}) << "a file of an older thimble";
}

// In a process of its own: measuring forks, and this one may have run parallel loops.
TEST(MeasureMachine, WritesItsCacheFileAndUsesItAgain) {
  const TempDir dir;
  const std::string plan = "XDG_CACHE_HOME=" + dir.path() +
                           " $thimble plan --json --model lenet --batch 1 --threads 1 "
                           "--backend portable";
  ASSERT_EQ(cli_test::shell(plan).exit_code, 0);
  const std::string file = dir / "thimble/machine-portable-1.txt";
  Machine m;
  std::ifstream in(file);
  std::string identity;
  std::getline(in, identity);
  EXPECT_EQ(identity, machine_identity());
  in >> m.flops_per_second >> m.bytes_per_second >> m.seconds_per_step >> m.bf16_flops_per_second;
  EXPECT_GT(m.flops_per_second, 1e7);
  EXPECT_GT(m.bytes_per_second, 1e7);
  EXPECT_GT(m.bf16_flops_per_second, 1e7);
  EXPECT_GT(m.seconds_per_step, 0);
  EXPECT_LT(m.seconds_per_step, 1e-2);
  const std::string before = cli_test::text_of(file);
  const std::string made_up = machine_identity() + "\n1e30 1e30 1000 1e30\n";  // seconds a step
  std::ofstream(file) << made_up;
  const cli_test::Finished again = cli_test::shell(plan);
  EXPECT_EQ(cli_test::text_of(file), made_up);
  const size_t at = again.out.find("\"predicted_step_seconds\":");
  ASSERT_NE(at, std::string::npos);
  EXPECT_GT(std::strtod(again.out.c_str() + at + 25, nullptr), 10000);
}

TEST(MeasureMachine, MeasuresAgainWhenTheCacheFileIsBroken) {
  const TempDir dir;
  const std::string file = dir / "thimble/machine-portable-1.txt";
  data_test::write_file(file, {'n', 'o'});
  ASSERT_EQ(cli_test::shell("XDG_CACHE_HOME=" + dir.path() +
                            " $thimble plan --model lenet --batch 1 --threads 1 "
                            "--backend portable")
                .exit_code,
            0);
  EXPECT_NE(cli_test::text_of(file), "no");
}

TEST(MachineCacheFile, StandsInTheUsersCacheFolder) {
  const char* before = std::getenv("XDG_CACHE_HOME");
  const std::string kept = before == nullptr ? "" : before;
  setenv("XDG_CACHE_HOME", "/somewhere", 1);
  EXPECT_EQ(machine_cache_file("onednn", 2), "/somewhere/thimble/machine-onednn-2.txt");
  if (before == nullptr) {
    unsetenv("XDG_CACHE_HOME");
  } else {
    setenv("XDG_CACHE_HOME", kept.c_str(), 1);
  }
}

}  // namespace
}  // namespace thimble
