#include "runtime/optimizer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/names.h"
#include "runtime/learning_rate.h"

namespace thimble {
namespace {

// An op that only gathers gradients has updates and no gradient too, but no learning rate.
bool is_optimizer(const OpDef& op) {
  const auto reads = [&](size_t i, const char* name) {
    return i < op.inputs.size() && op.inputs[i].name == name;
  };
  return op.updates && !op.gradient && reads(0, "weights") && reads(1, "diff_weights") &&
         reads(2, "lr");
}

const OpDef& find_optimizer(const std::string& name) {
  std::vector<std::string> names;
  for (const OpDef* op : optimizers()) {
    if (op->name == name) return *op;
    names.push_back(op->name);
  }
  throw UserError(str_cat("optimizer.name is \"", name, "\", needed one of ", joined(names),
                          did_you_mean(name, names)));
}

bool has_attribute(const OpDef& op, const std::string& name) {
  return std::any_of(op.attributes.begin(), op.attributes.end(),
                     [&](const AttributeSpec& a) { return a.name == name; });
}

// The op's attributes that are fields of an OptimizerChoice.
std::vector<Attributes::Entry> fields_of(const OpDef& op, const OptimizerChoice& choice) {
  std::vector<Attributes::Entry> fields;
  if (has_attribute(op, "weight_decay")) fields.emplace_back("weight_decay", choice.weight_decay);
  if (op.name != "sgd") return fields;
  fields.emplace_back("momentum", choice.momentum);
  fields.emplace_back("nesterov", int64_t{choice.nesterov});
  return fields;
}

template <class Number>
Number number_from(const std::string& name, const std::string& text, const char* needed) {
  Number value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  require(read.ec == std::errc() && read.ptr == text.data() + text.size() &&
              std::isfinite(static_cast<double>(value)),
          "optimizer.options: ", name, " is \"", text, "\", needed ", needed);
  return value;
}

// As the attribute's default is: a number, a whole number or a text.
AttributeValue parse_as(const AttributeSpec& spec, const std::string& text) {
  if (std::holds_alternative<double>(spec.initial)) {
    return number_from<double>(spec.name, text, "a number");
  }
  if (std::holds_alternative<int64_t>(spec.initial)) {
    return number_from<int64_t>(spec.name, text, "a whole number");
  }
  require(std::holds_alternative<std::string>(spec.initial), "optimizer.options: ", spec.name,
          " cannot be given as text");
  return text;
}

Attributes parse_options(const OpDef& op, const OptimizerChoice& choice) {
  const std::vector<AttributeSpec> known = optimizer_options(op);
  std::vector<std::string> names;
  for (const AttributeSpec& spec : known) names.push_back(spec.name);
  Attributes parsed;
  for (const auto& [name, text] : choice.options) {
    const auto spec = std::find_if(known.begin(), known.end(),
                                   [&](const AttributeSpec& s) { return s.name == name; });
    if (spec != known.end()) {
      parsed.set(name, parse_as(*spec, text));
      continue;
    }
    require(!has_attribute(op, name), "optimizer.options has ", name,
            ", which is a setting of its own; hint: use optimizer.", name);
    require(!names.empty(), "optimizer.options has ", name, ", but ", op.name, " has no options");
    throw UserError(str_cat("optimizer.options has ", name, ", needed one of ", joined(names),
                            did_you_mean(name, names)));
  }
  return parsed;
}

}  // namespace

std::vector<const OpDef*> optimizers() {
  std::vector<const OpDef*> found;
  for (const OpDef& op : op_table().all()) {
    if (is_optimizer(op)) found.push_back(&op);
  }
  return found;
}

std::vector<AttributeSpec> optimizer_options(const OpDef& optimizer) {
  const auto fields = fields_of(optimizer, {});
  std::vector<AttributeSpec> options;
  for (const AttributeSpec& spec : optimizer.attributes) {
    const bool field = std::any_of(fields.begin(), fields.end(),
                                   [&](const auto& f) { return f.first == spec.name; });
    if (!field) options.push_back(spec);
  }
  return options;
}

double usual_learning_rate(const std::string& optimizer) {
  // A step of sgd is as small as its gradient; others bring theirs to one size, which needs less.
  return optimizer == "sgd" ? 0.05 : 0.001;
}

void check_optimizer(const OptimizerChoice& choice) {
  // NaN fails every comparison: conditions are what must hold.
  const auto require_number = [](bool good, const char* field, double came, const char* needed) {
    require(good && std::isfinite(came), field, " is ", came, ", needed ", needed);
  };
  const OpDef& op = find_optimizer(choice.name);
  require_number(choice.learning_rate >= 0, "optimizer.learning_rate", choice.learning_rate,
                 "a finite number, at least 0");
  require_number(choice.momentum >= 0 && choice.momentum < 1, "optimizer.momentum", choice.momentum,
                 "at least 0 and less than 1");
  require_number(choice.weight_decay >= 0, "optimizer.weight_decay", choice.weight_decay,
                 "a finite number, at least 0");
  require(!choice.nesterov || (op.name == "sgd" && choice.momentum > 0),
          "optimizer.nesterov needs sgd with a momentum above 0; the optimizer is ", choice.name,
          " with momentum ", choice.momentum);
  require(choice.weight_decay == 0 || has_attribute(op, "weight_decay"),
          "optimizer.weight_decay is ", choice.weight_decay, ", but ", choice.name, " has none");
  parse_options(op, choice);
  check_schedule(choice);
}

OptimizerSpec optimizer_spec(const OptimizerChoice& choice) {
  const OpDef& op = find_optimizer(choice.name);
  OptimizerSpec spec{choice.name, parse_options(op, choice)};
  for (const auto& [name, value] : fields_of(op, choice)) spec.attributes.set(name, value);
  return spec;
}

}  // namespace thimble
