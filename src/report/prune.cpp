#include "report/prune.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "report/format.h"
#include "report/table.h"

namespace thimble {
namespace {

using Json = nlohmann::ordered_json;

// As the paper gives them: of 10^6 bytes.
std::string megabytes(int64_t bytes) { return format_fixed(static_cast<double>(bytes) / 1e6, 3); }
std::string change(int64_t before, int64_t after) {
  return str_cat(megabytes(before), " > ", megabytes(after));
}

Json memory_json(const BlockProfile& b) {
  return {{"temporary_bytes", b.temporary_bytes},
          {"cumulative_bytes", b.cumulative_bytes},
          {"peak_bytes", b.peak_bytes}};
}

}  // namespace

std::string prune_text(const PruneReport& r) {
  Table table = {"lrrrrr", {{"block", "hidden", "kept", "ratio", "temporary", "peak"}}};
  std::string missed;
  for (const PrunedBlock& b : r.blocks) {
    table.rows.push_back({b.name, format_count(b.channels_before), format_count(b.channels),
                          format_fixed(b.ratio, 2),
                          change(b.before.temporary_bytes, b.after.temporary_bytes),
                          change(b.before.peak_bytes, b.after.peak_bytes)});
    if (!b.reached) missed += str_cat(missed.empty() ? "" : ", ", b.name);
  }
  table.rows.push_back({"all", "", "", "",
                        change(r.before.temporary_bytes, r.after.temporary_bytes),
                        change(r.before.peak_bytes, r.after.peak_bytes)});
  std::string text = str_cat(
      table.text(),
      "  activations of one example in MB (10^6 bytes), as `thimble profile` counts\n",
      "  kept for the backward pass: ", change(r.before.cumulative_bytes, r.after.cumulative_bytes),
      " MB; parameters: ", format_count(r.parameters_before), " > ", format_count(r.parameters),
      "\n  the peak is at ", r.peak_block, "; channels were ranked on ", r.examples, " pictures\n");
  if (!missed.empty()) {
    text += str_cat("  not reached, with a single channel left: ", missed,
                    "; what else goes in and comes out takes more than ", megabytes(r.target_bytes),
                    " MB\n");
  }
  return str_cat(text, r.file, "\n  hint: less accurate until it is trained again: thimble train ",
                 "--model ", r.file, "\n");
}

std::string to_json(const PruneReport& r) {
  Json blocks = Json::array();
  for (const PrunedBlock& b : r.blocks) {
    blocks.push_back({{"name", b.name},
                      {"ratio", b.ratio},
                      {"channels_before", b.channels_before},
                      {"channels", b.channels},
                      {"reached", b.reached},
                      {"before", memory_json(b.before)},
                      {"after", memory_json(b.after)}});
  }
  const Json json = {{"blocks", blocks},
                     {"before", memory_json(r.before)},
                     {"after", memory_json(r.after)},
                     {"peak_block", r.peak_block},
                     {"target_bytes", r.target_bytes},
                     {"parameters_before", r.parameters_before},
                     {"parameters", r.parameters},
                     {"examples", r.examples},
                     {"file", r.file}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace thimble
