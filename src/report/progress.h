#pragma once

#include <string>

#include "thimble/thimble.h"

namespace thimble {

struct ProgressStyle {
  bool terminal = false;  // one line that is written again and again; else a line now and then
  bool unicode = true;
  int columns = 80;  // that a line may use
};

// Turns progress into text for the standard error stream. The caller has the clock and the stream.
class ProgressText {
 public:
  explicit ProgressText(const ProgressStyle& style) : style_(style) {}

  // What to write now; mostly nothing. `now` in seconds, from any start.
  std::string next(const Progress& progress, double now);
  // Whether that is something.
  bool due(const Progress& progress, double now) const;
  // Ends a line that is still being rewritten.
  std::string finish();

 private:
  std::string rewritten(const std::string& line);

  ProgressStyle style_;
  double last_ = 0;  // when a line was written
  bool started_ = false;
  size_t open_ = 0;  // characters in the line that is being rewritten
};

// "epoch 1/2 37/3750 ████░░░░ loss 0.432 5321 img/s 2:13 left 80.1/93.0/96.0 MiB": memory now,
// planned, budget. The bar takes the columns that are left over.
std::string progress_line(const Progress& progress, const ProgressStyle& style);
// "epoch 1/2: loss 0.4321, test loss 0.4100, accuracy 0.8512, 5321 img/s".
std::string epoch_line(const Progress& progress);

}  // namespace thimble
