#pragma once

#include <string>
#include <vector>

#include "report/text.h"
#include "thimble/thimble.h"

namespace thimble {

// What somebody measured, to stand beside a frontier.
struct MeasuredPoint {
  std::string name;
  int64_t bytes = 0;   // peak of the process
  double seconds = 0;  // of a step of the whole batch
};
struct MeasuredPoints {
  std::string settings;  // how they were measured, for people; may be empty
  std::vector<MeasuredPoint> points;
};

// Reads [{"name", "bytes", "seconds"}, ...] or {"settings": "...", "points": [...]}. Throws
// UserError that says what is wrong with the file.
MeasuredPoints read_points(const std::string& file);

// A line for each planned point. With a budget, the fastest that fits is marked.
std::string frontier_text(const std::vector<FrontierPoint>& points, const TrainOptions& options,
                          const MeasuredPoints& measured, const TextStyle& style = {});
std::string frontier_json(const std::vector<FrontierPoint>& points, const MeasuredPoints& measured);

}  // namespace thimble
