#include "report/text.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/bytes.h"
#include "base/error.h"
#include "base/names.h"
#include "report/answers.h"
#include "report/format.h"
#include "report/reversibility.h"
#include "report/table.h"
#include "report/total.h"

namespace thimble {
namespace {

constexpr int kBarWidth = 24;  // characters

std::string title(const PlanReport& r, const TrainOptions& o) {
  std::string text = str_cat("plan: ", o.model.name);
  if (o.model.batch > 0) text += str_cat(", batch ", o.model.batch);
  if (o.patches.height > 0) {
    text += str_cat(" pictures of ", o.patches.height, 'x', o.patches.width_px, " in patches");
  }
  text += str_cat(" takes ", format_bytes(r.process_bytes), " of memory");
  if (r.budget_bytes == 0) return text + " (no budget given)\n";
  text += str_cat(": ", r.fits ? "fits" : "DOES NOT FIT", " in ", format_bytes(r.budget_bytes));
  return text + "\n";
}

std::string ratio(int64_t part, int64_t whole) {
  return format_fixed(static_cast<double>(part) / static_cast<double>(whole), 3);
}

std::string totals(const PlanReport& r) {
  Table table = {"lrl"};
  table.rows = {
      {"whole process", format_bytes(r.process_bytes), "fixed + arena"},
      {"fixed", format_bytes(r.fixed_bytes), "code, libraries, generated kernels"},
      {"arena", format_bytes(r.arena_bytes),
       ratio(r.arena_bytes, r.lower_bound_bytes) + " of its lower bound"},
      {"smallest budget", format_bytes(r.smallest_budget_bytes),
       "--budget " + exact_bytes(r.smallest_budget_bytes)},
      {"step", r.predicted_step_seconds > 0 ? format_seconds(r.predicted_step_seconds) : "-",
       r.predicted_step_seconds > 0 ? "predicted" : "not known: this machine was not measured"},
  };
  if (std::isfinite(r.predicted_snr_db)) {
    const char* usable = r.predicted_snr_db < kUsableSnrDb
                             ? "predicted: noise; a larger --min-snr keeps more, a larger slope "
                               "loses less"
                             : "predicted, of what is had again by dividing, at the noisiest";
    table.rows.push_back({"above noise", str_cat(std::lround(r.predicted_snr_db), " dB"), usable});
  }
  if (r.paged_bytes > 0) {
    table.rows.push_back({"paged", format_bytes(r.paged_bytes),
                          "written to the file of --offload in each step, and read back"});
  }
  return table.text();
}

std::string categories(const PlanReport& r, const TextStyle& style) {
  Table table = {"lrl"};
  const auto add = [&](const char* name, int64_t bytes) {
    const double share = static_cast<double>(bytes) / static_cast<double>(r.process_bytes);
    table.rows.push_back({name, format_bytes(bytes), format_bar(share, kBarWidth, style.unicode)});
  };
  add("fixed", r.fixed_bytes);
  for (size_t c = 0; c < kCategoryNames.size(); ++c) add(kCategoryNames[c], r.by_category[c]);
  return table.text();
}

std::string peak_tensors(const PlanReport& r) {
  Table table = {"rll"};
  table.rows.push_back({format_bytes(r.fixed_bytes), "fixed", "code, libraries, kernels"});
  for (const PeakTensor& t : r.peak_tensors) {
    table.rows.push_back({format_bytes(t.bytes), t.category, t.name});
  }
  return table.text();
}

// "+12.3 ms", "-1.2 ms"; nothing when it makes no difference.
std::string more_seconds(double seconds) {
  if (std::abs(seconds) < 5e-6) return "";
  return (seconds < 0 ? "-" : "+") + format_seconds(std::abs(seconds));
}

// What each technique saved and cost, where that is known.
std::string techniques(const PlanReport& r) {
  if (r.uses.empty()) {
    return str_cat("techniques: ", r.techniques.empty() ? "none" : joined(r.techniques), " (",
                   r.promise, ")\n");
  }
  Table table = {"lrrl"};
  table.rows.push_back({"", "saves", "time", ""});
  for (const TechniqueUse& u : r.uses) {
    const int64_t bytes = std::abs(u.saved_bytes);
    table.rows.push_back({u.name, (u.saved_bytes < 0 ? "-" : "") + format_bytes(bytes),
                          more_seconds(u.cost_seconds), u.where});
  }
  return str_cat("techniques (", r.promise, "), each beside those above it, about\n", table.text());
}

std::string list_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "  * " + line + "\n";
  return text;
}

std::string skipped(int64_t examples) {
  return examples == 0 ? "" : str_cat("skipped ", examples, " broken examples\n");
}

std::string test_result(double accuracy, double loss) {
  return str_cat("test accuracy ", format_fixed(accuracy, 4), ", test loss ",
                 format_fixed(loss, 4));
}

std::string validation_result(const TrainReport& r) {
  if (r.validation_accuracy < 0) return "";
  const std::string of =
      r.best_epoch < 0 ? "" : str_cat(", of epoch ", r.best_epoch + 1, ", whose weights were kept");
  return str_cat("validation accuracy ", format_fixed(r.validation_accuracy, 4),
                 ", validation loss ", format_fixed(r.validation_loss, 4), of, "\n");
}

std::string explored_text(const std::vector<Exploration>& weights) {
  Exploration sum;
  for (const Exploration& e : weights) {
    sum.positions += e.positions;
    sum.active += e.active;
    sum.explored += e.explored;
  }
  if (sum.positions == 0) return "";
  const auto percent = [&](int64_t part) {
    return format_fixed(100.0 * static_cast<double>(part) / static_cast<double>(sum.positions), 1);
  };
  return str_cat("sparse weights: ", percent(sum.active), "% of ", format_count(sum.positions),
                 " positions are active, ", percent(sum.explored), "% are or have been\n");
}

}  // namespace

std::string plan_text(const PlanReport& r, const TrainOptions& options, const TextStyle& style) {
  std::string text = title(r, options) + "\n" + totals(r);
  text += str_cat("\nmemory at the peak step, ", r.peak_step, "\n", categories(r, style));
  text += "\nlargest there\n" + peak_tensors(r);
  text += "\n" + techniques(r);
  return text + "\nwhat would lower it\n" + list_of(ways_to_lower(r, options));
}

std::string refusal_text(const PlanReport& r, const std::string& task,
                         const std::vector<std::string>& ways) {
  std::string text = str_cat("does not fit: ", task, " takes ", format_bytes(r.process_bytes),
                             " and the budget is ", format_bytes(r.budget_bytes), "\n");
  text += str_cat("smallest budget that fits: --budget ", exact_bytes(r.smallest_budget_bytes),
                  " (", format_bytes(r.smallest_budget_bytes), ")\n");
  text += str_cat("peak step: ", r.peak_step, "; largest there\n", peak_tensors(r));
  return ways.empty() ? text : text + "what to try\n" + list_of(ways);
}

std::string contract_text(const PlanReport& plan, int64_t peak_rss_bytes) {
  const int64_t headroom = plan.budget_bytes - peak_rss_bytes;
  const bool bounded = plan.budget_bytes > 0;
  Table table = {"lrr"};
  const auto add = [&](const char* name, int64_t bytes) {
    table.rows.push_back({name, format_bytes(bytes), std::to_string(bytes)});
  };
  table.rows.push_back({"memory", "", "bytes"});
  if (bounded) add("budget", plan.budget_bytes);
  add("planned", plan.process_bytes);
  add("measured peak", peak_rss_bytes);
  add("fixed", plan.fixed_bytes);
  add("arena", plan.arena_bytes);
  add("lower bound", plan.lower_bound_bytes);
  table.rows.push_back({"measured / planned", ratio(peak_rss_bytes, plan.process_bytes)});
  table.rows.push_back({"arena / lower bound", ratio(plan.arena_bytes, plan.lower_bound_bytes)});
  if (!bounded) return table.text() + "  no budget was given\n";
  add("headroom", headroom);
  return table.text() + (headroom >= 0 ? "  PASS: the peak stayed inside the budget\n"
                                       : str_cat("  EXCEEDED: the peak is ",
                                                 format_bytes(-headroom), " above the budget\n"));
}

std::string result_text(const TrainReport& r) {
  std::string text = test_result(r.accuracy, r.loss) + "\n" + validation_result(r);
  text += str_cat(format_rate(r.samples_per_second), " images/s, median step ",
                  format_seconds(r.step_seconds_median), "\n", skipped(r.skipped_examples));
  text += explored_text(r.explored);
  if (!r.weights_file.empty()) text += str_cat("trained model: ", r.weights_file, "\n");
  return text + "\n" + contract_text(r.plan, r.peak_rss_bytes);
}

std::string result_text(const EvalReport& r) {
  return str_cat(r.weights_file, "\n", test_result(r.accuracy, r.loss), " over ", r.examples,
                 " examples\n", format_rate(r.samples_per_second), " images/s\n",
                 skipped(r.skipped_examples), "\n", r.classes.empty() ? "" : classes_text(r) + "\n",
                 contract_text(r.plan, r.peak_rss_bytes));
}

std::string calibration_text(const CalibrationReport& r) {
  return str_cat("calibrate: a step takes ", format_seconds(r.step_seconds), "; predicted were ",
                 format_seconds(r.predicted_before), "\n", r.kernels,
                 " kinds of kernels are now known to plans, in ", r.cache_file, "\n");
}

namespace {

// As the paper gives them.
std::string megabytes(int64_t bytes) { return format_fixed(static_cast<double>(bytes) / 1e6, 3); }

std::string blocks_text(const Profile& profile) {
  Table table = {
      "llrrrrrr",
      {{"block", "", "temporary", "cumulative", "peak", "temporary", "cumulative", "peak"}}};
  const auto add = [&](const BlockProfile& b, const std::string& note) {
    table.rows.push_back({b.name, note, megabytes(b.temporary_bytes), megabytes(b.cumulative_bytes),
                          megabytes(b.peak_bytes), megabytes(b.planned_temporary_bytes),
                          megabytes(b.planned_cumulative_bytes), megabytes(b.planned_peak_bytes)});
  };
  for (const BlockProfile& b : profile.blocks) add(b, b.sensitive ? "sensitive" : "");
  add(profile.all_blocks, "");
  const double total = static_cast<double>(profile.paper_total_bytes) / 1e6;
  return str_cat(
      "\n  activations in MB (10^6 bytes): one example as the paper counts, then ",
      profile.planned_examples, " in the plan\n\n", table.text(),
      "  sensitive: more for a moment than is kept of all; `thimble prune` makes it less\n",
      "  the paper's bytes of training: ", format_fixed(total, 2),
      " MB, with frozen weights in 8 bits\n");
}

}  // namespace

std::string profile_text(const Profile& profile) {
  Table table = {"lllrrrrr"};
  table.rows.push_back({"layer", "op", "output", "params", "forward", "backward", "saved", "temp"});
  const auto add = [&](const LayerProfile& l, const std::string& shape) {
    table.rows.push_back({l.name, l.op, shape, format_count(l.parameters),
                          format_count(l.forward_flops), format_count(l.backward_flops),
                          format_bytes(l.saved_bytes), format_bytes(l.temporary_bytes)});
  };
  for (const LayerProfile& l : profile.layers) add(l, format_shape(l.shape));
  add(total_of(profile.layers), "");
  return str_cat(table.text(), "  forward and backward in FLOPs; temp in total: the largest\n",
                 "  the arena grows by ", std::llround(profile.arena_bytes_per_pixel),
                 " bytes with each pixel of the input\n",
                 profile.blocks.size() > 1 ? blocks_text(profile) : "");
}

std::string listing_text(const Listing& listing) {
  Table table = {"ll"};
  for (const auto& [name, summary] : listing) table.rows.push_back({name, summary});
  return table.text();
}

}  // namespace thimble
