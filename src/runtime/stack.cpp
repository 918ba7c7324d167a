#include "runtime/stack.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/aside_file.h"
#include "base/error.h"
#include "base/names.h"
#include "data/input_file.h"
#include "runtime/options_file.h"
#include "runtime/stack_file.h"

namespace thimble {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMostText = 1 << 20;  // bytes

// A stack's files: of the program, or of a folder.
class StackFiles {
 public:
  explicit StackFiles(const std::string& stack) : stack_(stack) {
    known_ = !stack_file(stack + "/stack.json").empty();
    require(known_ || std::filesystem::is_directory(stack), "there is no stack '", stack,
            "'; known: wearable-stack, reversible (a study), or a folder with a stack.json");
  }

  std::string path(const std::string& name) const { return stack_ + "/" + name; }

  std::string text(const std::string& name) const {
    if (known_) {
      const std::string_view text = stack_file(path(name));
      require(!text.empty(), path(name), ": no such file");
      return std::string(text);
    }
    return read_text(path(name), kMostText);
  }

  Json json(const std::string& name) const {
    Json json = Json::parse(text(name), nullptr, false);
    require(json.is_object(), path(name), ": is not a JSON object");
    return json;
  }

 private:
  std::string stack_;
  bool known_ = false;
};

// What `change` says on top of `options` (RFC 7386), where `from` has it.
void merge(Json& options, const Json& from, const char* change, const std::string& where) {
  if (!from.contains(change)) return;
  require(from[change].is_object(), where, ": \"", change, "\" needs an object of options");
  options.merge_patch(from[change]);
}

std::string text_in(const Json& json, const char* key, const std::string& where) {
  require(json.is_object() && json.contains(key) && json[key].is_string(), where, " needs a \"",
          key, "\", a string");
  return json[key].get<std::string>();
}

double number_in(const Json& json, const char* key, const std::string& where) {
  if (!json.contains(key)) return 0;
  const double value = json[key].is_number() ? json[key].get<double>() : -1;
  require(value >= 0 && value < 0x1p53, where, ": \"", key, "\" needs a number of bytes");
  return value;
}

TrainOptions options_of_step(const StackFiles& files, const Json& stack, const Json& step,
                             const std::vector<const char*>& changes) {
  const std::string file = text_in(step, "config", files.path("stack.json"));
  require(file.find('/') == file.npos, files.path("stack.json"), ": config '", file,
          "' must be a file beside it");
  Json options = files.json(file);
  for (const Json* from : {&stack, &step}) {
    for (const char* change : changes) {
      merge(options, *from, change, files.path("stack.json"));
    }
  }
  return options_of(options.dump(), files.path(file));
}

void refuse_unknown(const Json& json, const std::set<std::string>& known,
                    const std::string& where) {
  for (const auto& entry : json.items()) {
    require(known.contains(entry.key()), where, ": unknown field ", entry.key(),
            did_you_mean(entry.key(), {known.begin(), known.end()}));
  }
}

}  // namespace

std::vector<StackStep> read_stack(const std::string& stack, bool quick) {
  const StackFiles files(stack);
  const Json root = files.json("stack.json");
  const std::string where = files.path("stack.json");
  refuse_unknown(root, {"steps", "quick", "accuracy"}, where);
  require(root.contains("steps") && root["steps"].is_array() && !root["steps"].empty(), where,
          " needs \"steps\", a list");
  std::vector<StackStep> steps;
  for (const Json& step : root["steps"]) {
    StackStep s;
    s.name = text_in(step, "name", where);
    s.title = text_in(step, "title", where);
    refuse_unknown(
        step, {"name", "title", "config", "source_bytes", "pytorch_bytes", "quick", "accuracy"},
        where);
    require(!s.name.empty() && s.name[0] != '.' && s.name.find('/') == s.name.npos, where,
            ": the name '", s.name, "' cannot be that of a folder");
    for (const StackStep& other : steps) {
      require(other.name != s.name, where, ": two steps are called ", s.name);
    }
    // Figures of others are of the whole size.
    const auto source = static_cast<int64_t>(number_in(step, "source_bytes", where));
    const auto pytorch = static_cast<int64_t>(number_in(step, "pytorch_bytes", where));
    s.source_bytes = quick ? 0 : source;
    s.pytorch_bytes = quick ? 0 : pytorch;
    std::vector<const char*> changes;
    if (quick) changes.push_back("quick");
    s.options = options_of_step(files, root, step, changes);
    changes.insert(changes.begin(), "accuracy");
    s.training = options_of_step(files, root, step, changes);
    if (quick) s.training.epochs = 1;
    steps.push_back(std::move(s));
  }
  return steps;
}

void copy_stack(const std::string& stack, const std::string& folder) {
  read_stack(stack, false);  // whole, before anything is written
  const StackFiles files(stack);
  std::error_code error;
  require(!std::filesystem::exists(folder), folder, ": is there already; name a new folder");
  std::filesystem::create_directories(folder, error);
  require(!error, folder, ": cannot make the folder: ", error.message());
  const auto copy = [&](const std::string& name) {
    const std::string text = files.text(name);
    AsideFile file(folder + "/" + name);
    file.write(text.data(), static_cast<int64_t>(text.size()));
    file.commit();
  };
  copy("stack.json");
  const Json root = files.json("stack.json");
  for (const Json& step : root["steps"]) copy(text_in(step, "config", files.path("stack.json")));
}

}  // namespace thimble
