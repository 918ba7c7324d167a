#include "report/stack.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "base/names.h"
#include "report/format.h"
#include "report/table.h"

namespace thimble {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kBarWidth = 32;  // characters

bool ran(const StackStep& s) { return s.peak_rss_bytes > 0; }

// The largest figure there is for the first configuration: what the others are compared with.
int64_t bytes_before(const std::vector<StackStep>& steps) {
  const StackStep& first = steps.front();
  if (first.source_bytes > 0) return first.source_bytes;
  return ran(first) ? first.peak_rss_bytes : 0;
}

std::string times_less(int64_t before, int64_t bytes) {
  if (before == 0 || bytes == 0) return "-";
  const double times = static_cast<double>(before) / static_cast<double>(bytes);
  return format_fixed(times, times < 10 ? 2 : 0) + "x";
}

std::string bytes_or_dash(int64_t bytes) { return bytes > 0 ? format_bytes(bytes) : "-"; }

std::string settings_of(const TrainOptions& o) {
  std::string text = str_cat(o.model.name, ", batch ", o.model.batch, ", ", o.model.norm, " norm");
  const bool cut = o.patches.height > 0;
  text += cut ? str_cat(", ", o.patches.height, 'x', o.patches.width_px, " in patches of ",
                        o.model.height, 'x', o.model.width_px)
              : str_cat(", ", o.model.height, 'x', o.model.width_px);
  if (o.sparse.in_groups()) {
    text += str_cat(", sparse ", o.sparse.format);
  } else if (o.sparse.sparsity > 0) {
    text += str_cat(", ", 100 * o.sparse.sparsity, "% sparse in ", o.sparse.format);
  }
  return text;
}

std::string training_of(const StackStep& s) {
  return str_cat(settings_of(s.training), ", ", s.training.epochs, " epochs");
}

std::string figures(const std::vector<StackStep>& steps) {
  Table table = {"llrrrrrrrrl"};
  table.rows.push_back({"", "", "budget", "planned", "peak", "less", "a picture", "parameters",
                        "active", "accuracy", "promise"});
  const int64_t before = bytes_before(steps);
  for (const StackStep& s : steps) {
    const PlanReport& p = s.plan;
    table.rows.push_back({s.name, s.title, bytes_or_dash(p.budget_bytes),
                          bytes_or_dash(p.process_bytes), bytes_or_dash(s.peak_rss_bytes),
                          times_less(before, s.peak_rss_bytes),
                          ran(s) ? format_seconds(s.seconds_per_image) : "-",
                          ran(s) ? format_count(p.parameters) : "-",
                          ran(s) ? format_count(p.active_parameters) : "-",
                          s.accuracy >= 0 ? format_fixed(s.accuracy, 4) : "-", p.promise});
  }
  return table.text();
}

std::string others(const std::vector<StackStep>& steps) {
  Table table = {"lrr"};
  table.rows.push_back({"", "source", "PyTorch, peak"});
  for (const StackStep& s : steps) {
    if (s.source_bytes == 0 && s.pytorch_bytes == 0) continue;
    table.rows.push_back({s.name, bytes_or_dash(s.source_bytes), bytes_or_dash(s.pytorch_bytes)});
  }
  return table.rows.size() == 1 ? "" : "\nmeasured by others\n" + table.text();
}

std::string categories(const std::vector<StackStep>& steps) {
  Table table = {"lrrrrrrrr"};
  table.rows.push_back({"", "fixed"});
  for (const char* name : kCategoryNames) table.rows.back().emplace_back(name);
  for (const StackStep& s : steps) {
    if (!ran(s)) continue;
    table.rows.push_back({s.name, format_bytes(s.plan.fixed_bytes)});
    for (int64_t bytes : s.plan.by_category) table.rows.back().push_back(format_bytes(bytes));
  }
  return "\nat the peak step, planned\n" + table.text();
}

std::string bars(const std::vector<StackStep>& steps, const TextStyle& style) {
  int64_t most = 1;
  for (const StackStep& s : steps) most = std::max(most, s.peak_rss_bytes);
  Table table = {"lrl"};
  for (const StackStep& s : steps) {
    const double share = static_cast<double>(s.peak_rss_bytes) / static_cast<double>(most);
    table.rows.push_back(
        {s.name, bytes_or_dash(s.peak_rss_bytes), format_bar(share, kBarWidth, style.unicode)});
  }
  return "\npeak of the process\n" + table.text();
}

Json known(double value) { return value > 0 ? Json(value) : Json(); }
Json known(int64_t value) { return value > 0 ? Json(value) : Json(); }

Json step_json(const StackStep& s) {
  Json categories = Json::object();
  for (size_t c = 0; c < kCategoryNames.size(); ++c) {
    categories[kCategoryNames[c]] = s.plan.by_category[c];
  }
  const bool measured = ran(s);
  return {{"name", s.name},
          {"title", s.title},
          {"settings", settings_of(s.options)},
          {"problem", s.problem},
          {"budget_bytes", s.plan.budget_bytes},
          {"process_bytes", known(s.plan.process_bytes)},
          {"fixed_bytes", known(s.plan.fixed_bytes)},
          {"by_category", measured ? categories : Json()},
          {"peak_rss_bytes", known(s.peak_rss_bytes)},
          {"seconds_per_image", known(s.seconds_per_image)},
          {"parameters", known(s.plan.parameters)},
          {"active_parameters", known(s.plan.active_parameters)},
          {"accuracy", s.accuracy >= 0 ? Json(s.accuracy) : Json()},
          {"accuracy_settings", s.accuracy >= 0 ? Json(training_of(s)) : Json()},
          {"accuracy_peak_rss_bytes", known(s.training_peak_rss_bytes)},
          {"promise", s.plan.promise},
          {"techniques", s.plan.techniques},
          {"source_bytes", known(s.source_bytes)},
          {"pytorch_bytes", known(s.pytorch_bytes)}};
}

}  // namespace

std::string stack_line(const StackStep& s) {
  if (!s.problem.empty()) return str_cat(s.name, ' ', s.title, ": ", s.problem, '\n');
  std::string text = str_cat(s.name, ' ', s.title, ": planned ", format_bytes(s.plan.process_bytes),
                             ", peak ", format_bytes(s.peak_rss_bytes), ", ",
                             format_seconds(s.seconds_per_image), " a picture");
  if (s.accuracy >= 0) text += str_cat(", accuracy ", format_fixed(s.accuracy, 4));
  return text + "\n";
}

std::string stack_text(const std::vector<StackStep>& steps, const TextStyle& style) {
  if (steps.empty()) return "";
  std::string text = figures(steps) + bars(steps, style) + categories(steps) + others(steps);
  text += "\nsettings\n";
  for (const StackStep& s : steps) {
    text += str_cat("  ", s.name, ": ", settings_of(s.options));
    if (!s.plan.techniques.empty()) text += str_cat("; ", joined(s.plan.techniques));
    if (!s.problem.empty()) text += str_cat("; ", s.problem);
    text += '\n';
    if (s.accuracy < 0) continue;
    text += str_cat("    accuracy: ", training_of(s), ", peak ",
                    format_bytes(s.training_peak_rss_bytes), '\n');
  }
  return text;
}

std::string stack_json(const std::vector<StackStep>& steps) {
  Json list = Json::array();
  for (const StackStep& s : steps) list.push_back(step_json(s));
  return Json({{"steps", list}}).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace thimble
