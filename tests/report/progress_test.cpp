#include "report/progress.h"

#include <gtest/gtest.h>

#include "report/format.h"

namespace thimble {
namespace {

Progress made_up_progress() {
  Progress p;
  p.epochs = 2;
  p.step = 1874;
  p.steps = 3750;
  p.loss = 0.43212;
  p.samples_per_second = 5321.4;
  p.seconds_left = 133;
  p.resident_bytes = mebibytes(80);
  p.process_bytes = mebibytes(93);
  p.budget_bytes = mebibytes(96);
  return p;
}

Progress made_up_epoch() {
  Progress p = made_up_progress();
  p.epoch_done = true;
  p.test_loss = 0.41;
  p.test_accuracy = 0.8512;
  return p;
}

constexpr ProgressStyle kTerminal = {true, true, 80};
constexpr ProgressStyle kPlain = {false, true, 80};

TEST(ReportProgress, LineOnATerminal) {
  EXPECT_EQ(progress_line(made_up_progress(), kTerminal),
            "epoch 1/2 1875/3750 ████░░░░ loss 0.432 5321 img/s 2:13 left 80.0/93.0/96.0 MiB");
}

TEST(ReportProgress, LineInAFileHasNoBar) {
  EXPECT_EQ(progress_line(made_up_progress(), kPlain),
            "epoch 1/2 1875/3750 loss 0.432 5321 img/s 2:13 left 80.0/93.0/96.0 MiB");
}

TEST(ReportProgress, LineWhileFeaturesAreCached) {
  Progress p = made_up_progress();
  p.cached = 24;
  p.to_cache = 96;
  EXPECT_EQ(progress_line(p, kPlain), "features 24/96 5321 img/s 2:13 left 80.0/93.0/96.0 MiB");
  EXPECT_EQ(progress_line(p, {true, true, 72}),
            "features 24/96 ████░░░░░░░░░░░░ 5321 img/s 2:13 left 80.0/93.0/96.0 MiB");
}

TEST(ReportProgress, NoBudgetIsNotShown) {
  Progress p = made_up_progress();
  p.budget_bytes = 0;
  const std::string line = progress_line(p, kPlain);
  EXPECT_EQ(line.substr(line.rfind("left")), "left 80.0/93.0 MiB");
}

TEST(ReportProgress, LineNeverReachesTheLastColumn) {
  Progress p = made_up_progress();
  for (int64_t steps : {int64_t{1}, int64_t{3750}, int64_t{375000000}}) {
    p.steps = steps;
    for (int columns = 0; columns < 200; ++columns) {
      for (bool terminal : {false, true}) {
        EXPECT_LT(screen_width(progress_line(p, {terminal, true, columns})),
                  static_cast<size_t>(std::max(columns, 1)));
      }
    }
  }
}

TEST(ReportProgress, TerminalLineIsRewrittenAndWiped) {
  ProgressText text(kTerminal);
  Progress p = made_up_progress();
  p.samples_per_second = 12345;
  const std::string first = text.next(p, 0);
  EXPECT_EQ(first, progress_line(p, kTerminal));
  EXPECT_EQ(text.next(made_up_epoch(), 1),
            "\r" + epoch_line(made_up_epoch()) +
                std::string(screen_width(first) - epoch_line(made_up_epoch()).size(), ' ') + "\n");
  EXPECT_EQ(text.finish(), "");
}

TEST(ReportProgress, TerminalIsNotFlooded) {
  ProgressText text(kTerminal);
  EXPECT_NE(text.next(made_up_progress(), 100), "");
  EXPECT_EQ(text.next(made_up_progress(), 100.05), "");
  EXPECT_NE(text.next(made_up_progress(), 100.2), "");
}

TEST(ReportProgress, FileGetsALineEveryFewSecondsAndAtTheEndOfEpochs) {
  ProgressText text(kPlain);
  const std::string line = progress_line(made_up_progress(), kPlain) + "\n";
  EXPECT_EQ(text.next(made_up_progress(), 100), line);
  EXPECT_EQ(text.next(made_up_progress(), 104.9), "");
  EXPECT_EQ(text.next(made_up_progress(), 105), line);
  EXPECT_EQ(text.next(made_up_epoch(), 105.1),
            "epoch 1/2: loss 0.4321, test loss 0.4100, accuracy 0.8512, 5321 img/s\n");
  EXPECT_EQ(text.finish(), "");
}

TEST(ReportProgress, FinishEndsAnOpenLineOnce) {
  ProgressText text(kTerminal);
  EXPECT_EQ(text.finish(), "");
  text.next(made_up_progress(), 0);
  EXPECT_EQ(text.finish(), "\n");
  EXPECT_EQ(text.finish(), "");
}

}  // namespace
}  // namespace thimble
