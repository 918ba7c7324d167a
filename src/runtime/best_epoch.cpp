#include "runtime/best_epoch.h"

#include "runtime/metadata.h"

namespace thimble {
bool BestEpoch::is_beaten_by(const BestEpoch& other) const {
  if (!is_known() || other.accuracy != accuracy) return !is_known() || other.accuracy > accuracy;
  return other.loss < loss;
}

void BestEpoch::add_to(std::map<std::string, std::string>& metadata) const {
  if (!is_known()) return;
  metadata["best_epoch"] = std::to_string(epoch);
  metadata["best_loss"] = exact_text(loss);
  metadata["best_accuracy"] = exact_text(accuracy);
}

BestEpoch BestEpoch::of(const std::map<std::string, std::string>& metadata,
                        const std::string& path) {
  if (!metadata.contains("best_epoch")) return {};
  const auto number = [&](const char* name) {
    const auto it = metadata.find(name);
    return metadata_number(it == metadata.end() ? "" : it->second, name, path);
  };
  return {static_cast<int64_t>(number("best_epoch")), number("best_loss"), number("best_accuracy")};
}

}  // namespace thimble
