#include "runtime/options_file.h"

#include <cmath>
#include <concepts>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/aside_file.h"
#include "base/bytes.h"
#include "base/error.h"
#include "data/input_file.h"

namespace thimble {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int64_t kMaxOptionsBytes = kMiB;

// same: another value would make it another run. free: it may change when a run is resumed.
enum class OnResume { same, free };

// The one list of the fields of run.json. Writing and reading visit one TrainOptions; comparing
// visits two side by side. `model.batch` is the field `batch` of the object `model`.
template <class Visit, class... Options>
void for_each_field(const Visit& visit, Options&... o) {
  using enum OnResume;
  visit("model.name", same, o.model.name...);
  visit("model.batch", same, o.model.batch...);
  visit("model.channels", same, o.model.channels...);
  visit("model.height", same, o.model.height...);
  visit("model.width_px", same, o.model.width_px...);
  visit("model.classes", same, o.model.classes...);
  visit("model.width", same, o.model.width...);
  visit("model.norm", same, o.model.norm...);
  visit("model.label_smoothing", same, o.model.label_smoothing...);
  visit("model.variants", same, o.model.variants...);
  visit("model.train", same, o.model.train...);
  visit("model.side", same, o.model.side...);
  visit("sparse.sparsity", same, o.sparse.sparsity...);
  visit("sparse.method", same, o.sparse.method...);
  visit("sparse.distribution", same, o.sparse.distribution...);
  visit("sparse.format", same, o.sparse.format...);
  visit("sparse.every", same, o.sparse.every...);
  visit("sparse.until", same, o.sparse.until...);
  visit("sparse.drop", same, o.sparse.drop...);
  visit("sparse.gradient", same, o.sparse.gradient...);
  visit("sparse.explored", same, o.sparse.explored...);
  visit("patches.height", same, o.patches.height...);
  visit("patches.width_px", same, o.patches.width_px...);
  visit("patches.step", same, o.patches.step...);
  visit("patches.loss", same, o.patches.loss...);
  visit("data.path", same, o.data.path...);
  visit("data.flip", same, o.data.flip...);
  visit("data.crop_pad", same, o.data.crop_pad...);
  // A run that stopped at a picture it could not decode goes on when these are raised.
  visit("data.skip_bad", free, o.data.skip_bad...);
  visit("data.decode_bytes", free, o.data.decode_bytes...);
  visit("data.pixels", same, o.data.pixels...);
  visit("data.validation", same, o.data.validation...);
  visit("data.balance", same, o.data.balance...);
  visit("optimizer.name", same, o.optimizer.name...);
  visit("optimizer.momentum", same, o.optimizer.momentum...);
  visit("optimizer.nesterov", same, o.optimizer.nesterov...);
  visit("optimizer.weight_decay", same, o.optimizer.weight_decay...);
  visit("optimizer.options", same, o.optimizer.options...);
  visit("optimizer.learning_rate", same, o.optimizer.learning_rate...);
  visit("optimizer.schedule", same, o.optimizer.schedule...);
  visit("optimizer.warmup_epochs", same, o.optimizer.warmup_epochs...);
  visit("optimizer.step_epochs", same, o.optimizer.step_epochs...);
  visit("optimizer.step_factor", same, o.optimizer.step_factor...);
  visit("epochs", free, o.epochs...);
  visit("patience", free, o.patience...);
  visit("budget_bytes", free, o.budget_bytes...);
  visit("allow", same, o.allow...);
  visit("without", same, o.without...);
  visit("min_snr_db", same, o.min_snr_db...);
  visit("offload_folder", free, o.offload_folder...);  // the same bits
  visit("cache_features", same, o.cache_features...);
  visit("seed", same, o.seed...);
  visit("threads", same, o.threads...);
  visit("backend", same, o.backend...);
  visit("initial_weights", free, o.initial_weights...);  // the checkpoint holds what became of it
  visit("checkpoint_every", free, o.checkpoint_every...);
}

json::json_pointer pointer_to(std::string name) {
  for (char& c : name) c = c == '.' ? '/' : c;
  return json::json_pointer("/" + name);
}

// A field's value from JSON: what is needed, and whether that came.
constexpr const char* needed(const bool&) { return "true or false"; }
constexpr const char* needed(const double&) { return "a number"; }
constexpr const char* needed(const std::string&) { return "a string"; }
constexpr const char* needed(const std::vector<int64_t>&) { return "a list of whole numbers"; }
constexpr const char* needed(const std::vector<std::string>&) { return "a list of strings"; }
constexpr const char* needed(const std::map<std::string, std::string>&) {
  return "an object of strings";
}
template <std::integral T>
constexpr const char* needed(const T&) {
  return std::unsigned_integral<T> ? "a whole number, at least 0" : "a whole number in range";
}

bool assign(const json& from, bool& to) {
  if (from.is_boolean()) to = from.get<bool>();
  return from.is_boolean();
}
bool assign(const json& from, double& to) {
  if (from.is_number()) to = from.get<double>();
  return from.is_number();
}
bool assign(const json& from, std::string& to) {
  if (from.is_string()) to = from.get<std::string>();
  return from.is_string();
}
template <std::integral T>
bool assign(const json& from, T& to) {
  if (!from.is_number_integer()) return false;
  const bool fits = from.is_number_unsigned() ? std::in_range<T>(from.get<uint64_t>())
                                              : std::in_range<T>(from.get<int64_t>());
  if (fits) to = from.get<T>();
  return fits;
}
template <class T>
bool assign(const json& from, std::vector<T>& to) {
  to.clear();
  for (const json& item : from) {
    if (!assign(item, to.emplace_back())) return false;
  }
  return from.is_array();
}
bool assign(const json& from, std::map<std::string, std::string>& to) {
  if (!from.is_object()) return false;
  to.clear();
  for (const auto& [key, value] : from.items()) {
    if (!assign(value, to[key])) return false;
  }
  return true;
}

// A misspelled field, or one of a newer thimble, must not be passed over.
void refuse_unknown_fields(const std::string& path, const json& root,
                           const std::set<std::string>& known) {
  const auto check = [&](const std::string& name) {
    require(known.contains(name), path, ": unknown field ", name);
  };
  for (const auto& [key, value] : root.items()) {
    // A name with a point is a field of an object, which stands in that.
    require(key.find('.') == key.npos, path, ": unknown field ", key, "; write {\"",
            key.substr(0, key.find('.')), "\": {\"", key.substr(key.find('.') + 1), "\": ...}}");
    if (!value.is_object()) {
      check(key);
      continue;
    }
    const auto first = known.lower_bound(key + ".");
    require(first != known.end() && first->starts_with(key + "."), path, ": unknown field ", key);
    for (const auto& field : value.items()) check(key + "." + field.key());
  }
}

}  // namespace

void write_options(const std::string& path, const TrainOptions& options) {
  ordered_json root;
  for_each_field(
      [&]<class T>(const char* name, OnResume, const T& value) {
        if constexpr (std::floating_point<T>) {
          require(std::isfinite(value), path, ": cannot write: ", name, " is ", value);
        }
        root[ordered_json::json_pointer(pointer_to(name).to_string())] = value;
      },
      options);
  std::string text;
  try {
    text = root.dump(2) + '\n';
  } catch (const json::type_error&) {
    throw UserError(path + ": cannot write: a name or a path of the options is not UTF-8");
  }
  AsideFile file(path);
  file.write(text.data(), static_cast<int64_t>(text.size()));
  file.commit();
}

TrainOptions options_of(const std::string& text, const std::string& path) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  require(root.is_object(), path, ": is not a JSON object");

  TrainOptions options;
  std::set<std::string> known;
  for_each_field(
      [&](const char* name, OnResume, auto& value) {
        known.insert(name);
        const json::json_pointer pointer = pointer_to(name);
        if (!root.contains(pointer)) return;
        const json& from = root.at(pointer);
        // Lists and objects are not printed: they may be nested deeper than the stack.
        require(assign(from, value), path, ": ", name, " is ",
                from.is_primitive() ? from.dump() : from.type_name(), ", needed ", needed(value));
      },
      options);
  refuse_unknown_fields(path, root, known);
  return options;
}

TrainOptions read_options(const std::string& file) {
  return options_of(read_text(file, kMaxOptionsBytes), file);
}

void check_resumable(const TrainOptions& saved, const TrainOptions& now) {
  for_each_field(
      [](const char* name, OnResume on_resume, const auto& old_value, const auto& new_value) {
        if (on_resume == OnResume::free || old_value == new_value) return;
        const auto text = [](const auto& value) {
          return json(value).dump(-1, ' ', false, json::error_handler_t::replace);
        };
        const bool threads = std::string_view(name) == "threads";
        throw UserError(str_cat(
            "cannot resume: ", name, " was ", text(old_value), " and is now ", text(new_value),
            threads ? "; another number of threads adds in another order and changes the bits" : "",
            "; hint: use ", text(old_value), " again, or another run folder"));
      },
      saved, now);
}

}  // namespace thimble
