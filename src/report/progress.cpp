#include "report/progress.h"

#include <algorithm>

#include "base/error.h"
#include "report/format.h"

namespace thimble {
namespace {

constexpr double kTerminalSeconds = 0.1;  // between two lines
constexpr double kPlainSeconds = 5;
constexpr int kShortestBar = 4;  // characters
constexpr int kLongestBar = 24;

// "80.1/93.0/96.0 MiB", without a budget "80.1/93.0 MiB".
std::string memory(const Progress& p) {
  std::string text = format_mebibytes(p.resident_bytes) + "/" + format_mebibytes(p.process_bytes);
  if (p.budget_bytes > 0) text += "/" + format_mebibytes(p.budget_bytes);
  return text + " MiB";
}

}  // namespace

std::string progress_line(const Progress& p, const ProgressStyle& style) {
  const bool caches = p.to_cache > 0;
  const std::string head =
      caches ? str_cat("features ", p.cached, "/", p.to_cache, " ")
             : str_cat("epoch ", p.epoch + 1, "/", p.epochs, " ", p.step + 1, "/", p.steps, " ");
  const std::string tail = str_cat(caches ? "" : str_cat("loss ", format_fixed(p.loss, 3), " "),
                                   format_rate(p.samples_per_second), " img/s ",
                                   format_clock(p.seconds_left), " left ", memory(p));
  // The last column stays free: some terminals break the line when it is written.
  const int room = style.columns - 1;
  const int left = room - static_cast<int>(head.size() + tail.size()) - 1;
  std::string bar;
  if (style.terminal && left >= kShortestBar) {
    const double done = caches ? static_cast<double>(p.cached) / static_cast<double>(p.to_cache)
                               : static_cast<double>(p.step + 1) / static_cast<double>(p.steps);
    bar = format_bar(done, std::min(left, kLongestBar), style.unicode) + " ";
  }
  std::string line = head + bar + tail;
  if (bar.empty()) line.resize(std::min(line.size(), static_cast<size_t>(std::max(room, 0))));
  return line;
}

std::string epoch_line(const Progress& p) {
  return str_cat("epoch ", p.epoch + 1, "/", p.epochs, ": loss ", format_fixed(p.loss, 4),
                 p.validation ? ", validation loss " : ", test loss ", format_fixed(p.test_loss, 4),
                 ", accuracy ", format_fixed(p.test_accuracy, 4), ", ",
                 format_rate(p.samples_per_second), " img/s");
}

bool ProgressText::due(const Progress& progress, double now) const {
  const double wait = style_.terminal ? kTerminalSeconds : kPlainSeconds;
  return progress.epoch_done || !started_ || now - last_ >= wait;
}

std::string ProgressText::next(const Progress& progress, double now) {
  if (!due(progress, now)) return "";
  last_ = now;
  started_ = true;
  if (progress.epoch_done) {
    const std::string line = rewritten(epoch_line(progress));
    return line + finish();
  }
  const std::string line = progress_line(progress, style_);
  if (!style_.terminal) return line + "\n";
  return rewritten(line);
}

std::string ProgressText::finish() {
  const bool open = open_ > 0;
  open_ = 0;
  return open ? "\n" : "";
}

// No escape sequences: spaces wipe what a longer line before has left.
std::string ProgressText::rewritten(const std::string& line) {
  const size_t characters = screen_width(line);
  const size_t before = open_;
  open_ = characters;
  const std::string space(before > characters ? before - characters : 0, ' ');
  return (style_.terminal && before > 0 ? "\r" : "") + line + space;
}

}  // namespace thimble
