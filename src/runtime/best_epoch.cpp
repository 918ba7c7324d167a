#include "runtime/best_epoch.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"

namespace thimble {
namespace {

std::string hex(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%a", value);  // exact
  return text;
}

}  // namespace

bool BestEpoch::is_beaten_by(const BestEpoch& other) const {
  if (!is_known() || other.accuracy != accuracy) return !is_known() || other.accuracy > accuracy;
  return other.loss < loss;
}

void BestEpoch::add_to(std::map<std::string, std::string>& metadata) const {
  if (!is_known()) return;
  metadata["best_epoch"] = std::to_string(epoch);
  metadata["best_loss"] = hex(loss);
  metadata["best_accuracy"] = hex(accuracy);
}

BestEpoch BestEpoch::of(const std::map<std::string, std::string>& metadata,
                        const std::string& path) {
  if (!metadata.contains("best_epoch")) return {};
  const auto number = [&](const char* name) {
    const auto it = metadata.find(name);
    const std::string text = it == metadata.end() ? "" : it->second;
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    require(!text.empty() && *end == '\0' && value >= 0 && value < 0x1p53, path, ": its ", name,
            " is '", text, "', needs a number");
    return value;
  };
  return {static_cast<int64_t>(number("best_epoch")), number("best_loss"), number("best_accuracy")};
}

}  // namespace thimble
