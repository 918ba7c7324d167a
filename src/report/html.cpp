#include "report/html.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "report/answers.h"
#include "report/format.h"
#include "report/json.h"
#include "report/page_parts.h"
#include "report/reversibility.h"
#include "report/stack.h"
#include "report/study.h"

namespace thimble {
namespace {

using Json = nlohmann::ordered_json;

// As data of a script element: ASCII alone, and no `<` or `&`, so that no name can end the element
// or begin another. JSON reads \u003c as the same letter.
std::string script_data(const Json& json) {
  const std::string plain = json.dump(-1, ' ', true, Json::error_handler_t::replace);
  std::string text;
  for (char c : plain) {
    switch (c) {
      case '<':
        text += "\\u003c";
        break;
      case '>':
        text += "\\u003e";
        break;
      case '&':
        text += "\\u0026";
        break;
      default:
        text += c;
    }
  }
  return text;
}

std::string html_text(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

// The parts <name>.html and <name>.js with the common ones, in the frame of all pages. Filled in
// from left to right, so that nothing is looked for in what was filled in.
std::string page(const std::string& name, const std::string& title, const Json& data) {
  const std::string script = str_cat(page_part("common.js"), page_part(name + ".js"));
  const std::pair<std::string_view, std::string> parts[] = {
      {"{{TITLE}}", html_text(title)},
      {"{{STYLE}}", std::string(page_part("common.css"))},
      {"{{BODY}}", std::string(page_part(name + ".html"))},
      {"{{DATA}}", script_data(data)},
      {"{{SCRIPT}}", script}};
  std::string_view rest = page_part("frame.html");
  std::string text;
  for (const auto& [place, part] : parts) {
    ensure(!part.empty() || place == "{{TITLE}}", "the page ", name, " has no ", place);
    const size_t at = rest.find(place);
    ensure(at != rest.npos, "frame.html has no ", place);
    text.append(rest.substr(0, at)).append(part);
    rest.remove_prefix(at + place.size());
  }
  return text.append(rest);
}

std::string title_of(const TrainOptions& o) {
  return o.model.batch > 0 ? str_cat(o.model.name, ", batch ", o.model.batch) : o.model.name;
}

std::string input_of(const ModelChoice& m) {
  if (m.height == 0) return "";  // the model's usual one
  return m.channels > 0 ? format_shape({m.channels, m.height, m.width_px})
                        : format_shape({m.height, m.width_px});
}

Json options_json(const TrainOptions& o) {
  return {{"model", o.model.name},         {"batch", o.model.batch},
          {"input", input_of(o.model)},    {"classes", o.model.classes},
          {"width", o.model.width},        {"norm", o.model.norm},
          {"optimizer", o.optimizer.name}, {"threads", o.threads},
          {"backend", o.backend},          {"allow", o.allow},
          {"budget_bytes", o.budget_bytes}};
}

Json block_json(const TimelineBlock& b) {
  Json tensors = Json::array();
  for (const TimelineTensor& t : b.tensors) {
    tensors.push_back({{"name", t.name}, {"shape", t.shape}, {"type", t.type}});
  }
  return {{"tensors", tensors}, {"category", b.category}, {"bytes", b.bytes},
          {"offset", b.offset}, {"first", b.first_step},  {"last", b.last_step}};
}

}  // namespace

std::string timeline_html(const PlanTimeline& t) {
  Json steps = Json::array();
  for (const TimelineStep& s : t.steps) {
    steps.push_back(
        {{"op", s.op}, {"layer", s.layer}, {"phase", s.phase}, {"again", s.runs_again}});
  }
  Json blocks = Json::array();
  for (const TimelineBlock& b : t.blocks) blocks.push_back(block_json(b));
  const Json data = {{"options", options_json(t.options)},
                     {"plan", Json::parse(to_json(t.plan))},
                     {"categories", kCategoryNames},
                     {"microbatches", t.microbatches},
                     {"peak_step", t.peak_step},
                     {"steps", steps},
                     {"blocks", blocks}};
  return page("timeline", str_cat("thimble plan: ", title_of(t.options)), data);
}

std::string frontier_html(const std::vector<FrontierPoint>& points, const TrainOptions& options,
                          const MeasuredPoints& measured) {
  Json data = Json::parse(frontier_json(points, measured));
  data["options"] = options_json(options);
  return page("frontier", str_cat("thimble frontier: ", title_of(options)), data);
}

std::string stack_html(const std::vector<StackStep>& steps, const std::string& stack) {
  Json data = Json::parse(stack_json(steps));
  data["stack"] = stack;
  data["categories"] = kCategoryNames;
  return page("stack", str_cat("thimble reproduce: ", stack), data);
}

std::string reversibility_html(const Reversibility& report) {
  Json data = Json::parse(to_json(report));
  data["options"] = options_json(report.options);
  data["usable_db"] = kUsableSnrDb;
  return page("reversibility", str_cat("thimble reversibility: ", title_of(report.options)), data);
}

std::string profile_html(const Profile& profile) {
  Json data = Json::parse(to_json(profile));
  data["options"] = options_json(profile.options);
  data["options"]["train"] = profile.options.model.train;
  data["options"]["side"] = profile.options.model.side;
  return page("profile", str_cat("thimble profile: ", title_of(profile.options)), data);
}

std::string confusion_html(const EvalReport& report) {
  EvalReport rest = report;
  rest.confusion = {};
  Json data = Json::parse(to_json(rest));
  // One string: a tree of so many numbers would take more than evaluating small networks.
  if (!report.confusion.empty()) data["confusion"] = confusion_rows(report, ";", ",");
  return page("confusion", str_cat("thimble eval: ", report.weights_file), data);
}

std::string study_html(const std::vector<StudyTable>& tables, const std::string& study) {
  Json data = Json::parse(study_json(tables));
  data["study"] = study;
  return page("study", str_cat("thimble reproduce: ", study), data);
}

}  // namespace thimble
