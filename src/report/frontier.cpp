#include "report/frontier.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "base/names.h"
#include "report/format.h"
#include "report/table.h"

namespace thimble {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kForm = R"([{"name": "PyTorch", "bytes": 1633681408, "seconds": 1.22}])";

MeasuredPoint point_of(const Json& json, const std::string& where) {
  const auto number = [&](const char* key) {
    const bool good = json.is_object() && json.contains(key) && json[key].is_number() &&
                      json[key].get<double>() > 0 && json[key].get<double>() < 1e15;
    require(good, where, " needs \"", key, "\", a number above 0; such as ", kForm);
    return json[key].get<double>();
  };
  require(json.is_object() && json.contains("name") && json["name"].is_string(), where,
          " needs a \"name\"; such as ", kForm);
  return {json["name"].get<std::string>(), std::llround(number("bytes")), number("seconds")};
}

double slowdown(const std::vector<FrontierPoint>& points, double seconds) {
  return seconds / points.front().predicted_step_seconds;
}

std::string measured_table(const std::vector<FrontierPoint>& points,
                           const MeasuredPoints& measured) {
  Table table = {"rrrl"};
  for (const MeasuredPoint& m : measured.points) {
    table.rows.push_back({format_bytes(m.bytes), format_seconds(m.seconds),
                          format_fixed(slowdown(points, m.seconds), 2) + "x", m.name});
  }
  return table.text();
}

}  // namespace

MeasuredPoints read_points(const std::string& file) {
  require(!std::filesystem::is_directory(file), file,
          ": is a folder; needed a JSON file with measured points such as ", kForm);
  std::ifstream in(file);
  require(static_cast<bool>(in), file, ": cannot read measured points");
  const Json json = Json::parse(in, nullptr, false);
  require(!json.is_discarded(), file, " is not JSON; needs measured points such as ", kForm);
  MeasuredPoints measured;
  const Json* list = &json;
  if (json.is_object() && json.contains("points")) {
    list = &json["points"];
    measured.settings = json.value("settings", Json("")).is_string()
                            ? json.value("settings", Json("")).get<std::string>()
                            : "";
  }
  require(list->is_array(), file, ": needs a list of measured points such as ", kForm);
  for (size_t i = 0; i < list->size(); ++i) {
    measured.points.push_back(point_of((*list)[i], str_cat(file, ": point ", i + 1)));
  }
  return measured;
}

std::string frontier_text(const std::vector<FrontierPoint>& points, const TrainOptions& options,
                          const MeasuredPoints& measured, const TextStyle& style) {
  std::string text = str_cat("frontier: ", options.model.name);
  if (options.model.batch > 0) text += str_cat(", batch ", options.model.batch);
  text += str_cat(", from ", format_bytes(points.front().process_bytes), " down to ",
                  format_bytes(points.back().process_bytes), " of memory\n\n");
  Table table = {"rrrrlll"};
  table.rows.push_back({"process", "arena", "step", "time", "promise", "", "how"});
  int64_t estimates = 0;
  bool marked = options.budget_bytes == 0;
  for (const FrontierPoint& p : points) {
    estimates += p.planned ? 0 : 1;
    if (!p.planned) continue;
    const bool fits = !marked && p.process_bytes <= options.budget_bytes;
    marked = marked || fits;
    table.rows.push_back({format_bytes(p.process_bytes), format_bytes(p.arena_bytes),
                          format_seconds(p.predicted_step_seconds),
                          format_fixed(slowdown(points, p.predicted_step_seconds), 2) + "x",
                          p.promise, fits ? (style.unicode ? "◀ fits" : "< fits") : "",
                          joined(p.techniques)});
  }
  text += table.text();
  text +=
      "\nprocess and arena are of real plans, each made in a process of its own; step is "
      "predicted,\ntime beside the fastest\n";
  if (estimates > 0) {
    text += str_cat(estimates, " more lie between them, estimated: --json and --html have them\n");
  }
  if (options.budget_bytes > 0 && !marked) {
    text += str_cat("none fits in ", format_bytes(options.budget_bytes), "\n");
  }
  if (measured.points.empty()) return text;
  text += "\nmeasured elsewhere" +
          (measured.settings.empty() ? std::string() : ": " + measured.settings) + "\n";
  return text + measured_table(points, measured);
}

std::string frontier_json(const std::vector<FrontierPoint>& points,
                          const MeasuredPoints& measured) {
  Json list = Json::array();
  for (const FrontierPoint& p : points) {
    list.push_back({{"planned", p.planned},
                    {"process_bytes", p.process_bytes},
                    {"arena_bytes", p.arena_bytes},
                    {"predicted_step_seconds", p.predicted_step_seconds},
                    {"slowdown", slowdown(points, p.predicted_step_seconds)},
                    {"promise", p.promise},
                    {"techniques", p.techniques}});
  }
  Json others = Json::array();
  for (const MeasuredPoint& m : measured.points) {
    others.push_back({{"name", m.name}, {"bytes", m.bytes}, {"seconds", m.seconds}});
  }
  const Json json = {{"points", list},
                     {"measured", {{"settings", measured.settings}, {"points", others}}}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace thimble
