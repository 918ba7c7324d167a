#include "onnx/importer.h"
#include "ops/core/op.h"

namespace thimble {

const std::string& Draft::resolve(const std::string& tensor) const {
  const auto it = aliases_.find(tensor);
  return it == aliases_.end() ? tensor : it->second;
}

void Draft::alias(const std::string& tensor, const std::string& of) {
  aliases_[tensor] = resolve(of);
}

const Constant* Draft::constant(const std::string& tensor) const {
  const auto it = constants_.find(resolve(tensor));
  return it == constants_.end() ? nullptr : &it->second;
}

void Draft::define(const std::string& tensor, Constant value) {
  constants_[tensor] = std::move(value);
}

bool Draft::is_activation(const std::string& tensor) const {
  return shapes_.contains(resolve(tensor));
}

const Shape& Draft::shape(const std::string& tensor) const { return shapes_.at(resolve(tensor)); }

void Draft::set_shape(const std::string& tensor, const Shape& shape) { shapes_[tensor] = shape; }

std::string Draft::parameter(const std::string& tensor, const Shape& shape, Role role) {
  const Constant* c = constant(tensor);
  accept(c != nullptr, "needs a constant, but ", tensor, " is computed from the images");
  accept(!c->whole, "needs real numbers, but ", tensor, " has whole ones");
  return parameter(c->origin.empty() ? tensor : c->origin, c->reals, shape, role);
}

std::string Draft::parameter(const std::string& wanted, std::vector<float> numbers,
                             const Shape& shape, Role role) {
  if (statistics.contains(wanted)) role = Role::statistic;
  accept(shape.elements() == static_cast<int64_t>(numbers.size()), "needs ", wanted, " of shape ",
         shape, ", but it has ", numbers.size(), " numbers");
  std::string name = wanted;
  for (int copy = 2; values.contains(name); ++copy) {
    const NetworkParameter& twin = parameters[parameter_index_.at(name)];
    if (twin.shape == shape && twin.role == role && values[name] == numbers) return name;
    name = str_cat(wanted, '.', copy);
  }
  return add_parameter(name, std::move(numbers), shape, role);
}

std::string Draft::add_parameter(const std::string& name, std::vector<float> numbers,
                                 const Shape& shape, Role role) {
  parameter_index_[name] = parameters.size();
  parameters.push_back({name, shape, role});
  values[name] = std::move(numbers);
  return name;
}

std::string Draft::changed_parameter(const std::string& name, std::vector<float> numbers,
                                     const Shape& shape, bool shared) {
  std::vector<std::string>& forms = other_forms_[name];
  for (const std::string& form : forms) {
    if (*parameter_shape(form) == shape && values.at(form) == numbers) return form;
  }
  NetworkParameter& p = parameters[parameter_index_.at(name)];
  if (!shared) {
    p.shape = shape;
    values[name] = std::move(numbers);
    return name;
  }
  std::string form;
  for (int copy = 2; form.empty() || values.contains(form); ++copy) form = str_cat(name, '.', copy);
  forms.push_back(form);
  return add_parameter(form, std::move(numbers), shape, p.role);
}

const Shape* Draft::parameter_shape(const std::string& name) const {
  const auto it = parameter_index_.find(name);
  return it == parameter_index_.end() ? nullptr : &parameters[it->second].shape;
}

std::string Draft::unique_layer_name(const std::string& wanted) {
  std::string name = wanted;
  for (int copy = 2; !layer_names_.insert(name).second; ++copy) name = str_cat(wanted, '_', copy);
  return name;
}

void Draft::add(const std::string& op, const std::string& name, const std::string& onnx_op,
                std::vector<std::string> inputs, std::vector<std::string> outputs,
                Attributes attributes) {
  std::vector<Shape> shapes;
  for (std::string& input : inputs) {
    input = resolve(input);
    const Shape* parameter = parameter_shape(input);
    if (input.empty()) {
      shapes.emplace_back();
    } else {
      shapes.push_back(parameter != nullptr ? *parameter : shape(input));
    }
  }
  const std::vector<Shape> made = inferred(op, attributes, shapes);
  accept(made.size() >= outputs.size(), "makes ", made.size(), " tensors, needed ", outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    accept(made[i].rank() > 0 && made[i][0] == kBatch, "mixes the images of a batch");
    shapes_[outputs[i]] = made[i];
  }
  layers.push_back(
      {{op, unique_layer_name(name), std::move(inputs), std::move(outputs), std::move(attributes)},
       onnx_op,
       made[0]});
}

void Draft::add_pseudo(const std::string& op, const std::string& name, const std::string& onnx_op,
                       std::vector<std::string> inputs, const std::string& made,
                       Attributes attributes, const Shape& shape) {
  for (std::string& input : inputs) input = resolve(input);
  shapes_[made] = shape;
  layers.push_back({{op, unique_layer_name(name), std::move(inputs), {made}, std::move(attributes)},
                    onnx_op,
                    shape});
}

std::vector<Shape> inferred(const std::string& op, const Attributes& given,
                            const std::vector<Shape>& inputs) {
  const OpDef& def = find_op(op);
  Attributes all;
  for (const AttributeSpec& spec : def.attributes) all.set(spec.name, spec.initial);
  for (const auto& [name, value] : given) {
    require(all.has(name), op, " has no attribute '", name, "'");
    all.set(name, value);
  }
  std::vector<Shape> shapes;
  for (const TensorSpec& spec : def.infer(OpShapes{all, inputs})) shapes.push_back(spec.shape);
  return shapes;
}

}  // namespace thimble
