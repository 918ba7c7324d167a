#include "models/model.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/names.h"

namespace thimble {
namespace {

// "; did you mean 'x'? There are: x, y, z".
std::string suggestion(const std::string& given, const std::vector<std::string>& names) {
  if (names.empty()) return "; there are none";
  const std::string nearest = did_you_mean(given, names);
  std::string text = (nearest.empty() ? ";" : nearest) + " There are:";
  for (const std::string& name : names) text += (&name == &names[0] ? " " : ", ") + name;
  return text;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Nothing when `text` is not one.
std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

void check_variant(const Model& model, const ModelVariant& variant, const std::string& value) {
  const std::string where = str_cat("model ", model.name, ": option ", variant.name);
  if (variant.values.empty()) {
    const auto number = number_in(value);
    if (variant.most > 0) {
      const auto most = static_cast<double>(variant.most);
      require(number && *number >= 1 && *number <= most && *number == std::floor(*number), where,
              " is '", value, "', needs a whole number from 1 to ", variant.most);
    } else {
      require(number && *number >= 0 && *number < 1, where, " is '", value,
              "', needs a number from 0 up to 1");
    }
    return;
  }
  require(contains(variant.values, value), where, " cannot be '", value, "'",
          suggestion(value, variant.values));
}

void resolve_variants(const Model& model, std::map<std::string, std::string>& variants) {
  std::vector<std::string> names;
  for (const ModelVariant& v : model.variants) {
    names.push_back(v.name);
    check_variant(model, v, variants.try_emplace(v.name, v.initial).first->second);
  }
  for (const auto& [name, value] : variants) {
    require(contains(names, name), "model ", model.name, " has no option '", name, "'",
            suggestion(name, names));
  }
}

void resolve_size(const Model& model, const char* what, int64_t& value, int64_t usual) {
  require(value >= 0, "model ", model.name, ": ", what, " is ", value,
          ", needs a positive number (0: ", usual, ")");
  if (value == 0) value = usual;
}

}  // namespace

const Model& find_model(const std::string& name) {
  std::vector<std::string> names;
  for (const Model* model : models()) {
    if (model->name == name) return *model;
    names.push_back(model->name);
  }
  throw UserError(str_cat("there is no model called '", name, "'", suggestion(name, names)));
}

ModelOptions resolve_options(const Model& model, ModelOptions o) {
  const ModelDefaults& usual = model.defaults;
  const int64_t side = std::max(o.height, o.width_px);
  resolve_size(model, "batch", o.batch, usual.batch);
  resolve_size(model, "channels", o.channels, usual.channels);
  resolve_size(model, "image height", o.height, side > 0 ? side : usual.height);
  resolve_size(model, "image width", o.width_px, side > 0 ? side : usual.width_px);
  resolve_size(model, "classes", o.classes, usual.classes);
  require(std::min(o.height, o.width_px) >= model.smallest_px, "model ", model.name, ": images of ",
          o.height, "x", o.width_px, " pixels are too small, needs at least ", model.smallest_px,
          "x", model.smallest_px);
  require(o.width > 0 && o.width <= 16, "model ", model.name, ": width multiplier is ", o.width,
          ", needs a number above 0, at most 16");
  require(o.label_smoothing >= 0 && o.label_smoothing < 1, "model ", model.name,
          ": label smoothing is ", o.label_smoothing, ", needs a number from 0 up to 1");
  const std::vector<std::string> norms = {"batch", "frozen", "group"};
  require(contains(norms, o.norm), "model ", model.name, ": there is no norm called '", o.norm, "'",
          suggestion(o.norm, norms));
  resolve_variants(model, o.variants);
  return o;
}

double number_of(const ModelOptions& o, const std::string& variant) {
  return *number_in(o.variants.at(variant));
}

Graph build_model(const std::string& name, const ModelOptions& options) {
  return build_model(find_model(name), options);
}

Graph build_model(const Model& model, const ModelOptions& options) {
  const ModelOptions o = resolve_options(model, options);
  try {
    return model.build(o);
  } catch (const UserError& e) {
    throw UserError(str_cat("model ", model.name, ", batch ", o.batch, " of ", o.channels, "x",
                            o.height, "x", o.width_px, " images: ", e.what()));
  }
}

int64_t trainable_parameters(const Graph& graph) {
  int64_t count = 0;
  for (const Tensor& t : graph.tensors) count += t.trainable ? trained_shape(t).elements() : 0;
  return count;
}

}  // namespace thimble
