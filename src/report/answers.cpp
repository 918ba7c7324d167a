#include "report/answers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "report/format.h"
#include "report/json.h"
#include "report/table.h"

namespace thimble {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostClasses = 40;  // that a table lists all of
constexpr size_t kFewClasses = 20;   // that it lists of more
constexpr size_t kMostConfusions = 8;

std::string share(int64_t part, int64_t whole) {
  return whole == 0 ? "-" : format_fixed(static_cast<double>(part) / static_cast<double>(whole), 4);
}

// Classes in their order; of very many, those that are right least often.
std::vector<size_t> listed(const std::vector<ClassResult>& classes) {
  std::vector<size_t> order(classes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (order.size() <= kMostClasses) return order;
  std::erase_if(order, [&](size_t c) { return classes[c].examples == 0; });
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return classes[a].correct * classes[b].examples < classes[b].correct * classes[a].examples;
  });
  order.resize(std::min(order.size(), kFewClasses));
  return order;
}

}  // namespace

std::vector<Confusion> worst_confusions(const EvalReport& r, size_t most) {
  std::vector<Confusion> all;
  const size_t classes = r.classes.size();
  for (size_t i = 0; i < r.confusion.size(); ++i) {
    const Confusion c = {i / classes, i % classes, r.confusion[i]};
    if (c.is != c.taken && c.examples > 0) all.push_back(c);
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Confusion& a, const Confusion& b) { return a.examples > b.examples; });
  all.resize(std::min(all.size(), most));
  return all;
}

std::string confusion_rows(const EvalReport& r, const char* between_rows,
                           const char* between_numbers) {
  std::string text;
  for (size_t i = 0; i < r.confusion.size(); ++i) {
    if (i > 0) text += i % r.classes.size() == 0 ? between_rows : between_numbers;
    text += std::to_string(r.confusion[i]);
  }
  return text;
}

std::string classes_text(const EvalReport& r) {
  Table table = {"lrrrr"};
  table.rows.push_back({"class", "examples", "right", "accuracy", "precision"});
  const std::vector<size_t> order = listed(r.classes);
  for (size_t c : order) {
    const ClassResult& k = r.classes[c];
    table.rows.push_back({k.name, std::to_string(k.examples), std::to_string(k.correct),
                          share(k.correct, k.examples), share(k.correct, k.answers)});
  }
  std::string text = table.text();
  if (order.size() < r.classes.size()) {
    text += str_cat("  the ", order.size(), " that are right least often, of ", r.classes.size(),
                    " classes\n");
  }
  const std::vector<Confusion> worst = worst_confusions(r, kMostConfusions);
  if (worst.empty()) return text;
  Table pairs = {"rll"};
  for (const Confusion& c : worst) {
    pairs.rows.push_back(
        {std::to_string(c.examples), r.classes[c.is].name, "taken for " + r.classes[c.taken].name});
  }
  return text + "\nmost often confused\n" + pairs.text();
}

std::string prediction_text(const PredictReport& r) {
  std::string text;
  for (const Prediction& picture : r.pictures) {
    if (!picture.error.empty()) continue;
    Table table = {"rl"};
    for (const Prediction::Answer& a : picture.answers) {
      table.rows.push_back(
          {format_fixed(a.probability, 4), r.classes[static_cast<size_t>(a.label)]});
    }
    text += picture.file + "\n" + table.text();
  }
  return text;
}

std::string to_json(const PredictReport& r) {
  Json json = Json::parse(to_json(r.plan));
  json["predicted"] = r.predicted;
  json["weights_file"] = r.predicted ? Json(r.weights_file) : Json();
  json["peak_rss_bytes"] = r.predicted ? Json(r.peak_rss_bytes) : Json();
  Json pictures = Json::array();
  for (const Prediction& picture : r.pictures) {
    if (!r.predicted) break;
    Json answers = Json::array();
    for (const Prediction::Answer& a : picture.answers) {
      answers.push_back({{"class", r.classes[static_cast<size_t>(a.label)]},
                         {"label", a.label},
                         {"probability", a.probability}});
    }
    pictures.push_back({{"file", picture.file},
                        {"error", picture.error.empty() ? Json() : Json(picture.error)},
                        {"answers", answers}});
  }
  json["pictures"] = pictures;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace thimble
