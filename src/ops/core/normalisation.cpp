#include "ops/core/normalisation.h"

namespace thimble {

Activation activation_of(const std::string& op, const Attributes& a) {
  const std::string& name = a.text("activation");
  if (name == "relu") return {Activation::relu};
  if (name == "relu6") return {Activation::relu6};
  if (name == "leaky_relu") {
    const double slope = a.real("slope");
    require(slope > 0, op, ": slope must be positive, got ", slope, "; use relu for 0");
    return {Activation::leaky_relu, slope};
  }
  require(name == "none", op, ": activation must be 'none', 'relu', 'relu6' or 'leaky_relu', got '",
          name, "'");
  return {};
}

void add_activation_attributes(std::vector<AttributeSpec>& specs) {
  specs.push_back(
      {"activation", std::string("none"), "none, relu, relu6 or leaky_relu, after the addend"});
  specs.push_back({"slope", 0.01, "of leaky_relu, below zero; positive"});
  specs.push_back(
      {"mask", int64_t{0},
       "1: keep what the activation let through as bits, not as dst; 2: also where src tells"});
}

bool makes_mask(const std::string& op, const Attributes& a, bool has_addend) {
  const int64_t mask = a.integer("mask");
  return activation_of(op, a) != Activation::none && (mask == 2 || (mask == 1 && has_addend));
}

void check_normalised(const std::string& op, const OpShapes& s, size_t parameters) {
  const Shape& src = s.inputs[0];
  require(src.rank() == 4 || src.rank() == 2, op, ": src must be (N, C, H, W) or (N, C), got ",
          src);
  require(!s.has(1) || s.shape(1) == src, op, ": the addend ", s.shape(1),
          " must have the shape of src ", src);
  const Shape channels{src[1]};
  for (size_t i = 2; i < 2 + parameters; ++i) {
    require(s.inputs[i] == channels, op, ": src ", src, " needs parameters of shape ", channels,
            ", got ", s.inputs[i]);
  }
  activation_of(op, s.attributes);
}

TensorSpec mask_spec(const std::string& op, const OpShapes& s) {
  const Planes planes(s.inputs[0]);
  const bool made = makes_mask(op, s.attributes, s.has(1));
  return {made ? Shape{planes.n, planes.c, planes.mask_row()} : Shape{}, ElementType::u8};
}

Saves normalisation_saves(const std::string& op, const OpShapes& s, bool frozen) {
  Saves saved{{0, 2, 3}, {}};
  const bool mask = makes_mask(op, s.attributes, s.has(1));
  const bool activated = activation_of(op, s.attributes) != Activation::none;
  if (activated && (mask || s.has(1) || frozen)) saved.outputs.push_back(mask ? 3 : 0);
  return saved;
}

void normalisation_gradient(const std::string& op, GradientBuilder& g, TensorId mean,
                            TensorId inv_std, bool frozen) {
  std::vector<TensorId> parts = g.diff_output_parts();
  if (parts.empty()) return;
  while (parts.size() > 2) {
    parts[1] = g.emit("add", {parts[1], parts[2]})[0];
    parts.erase(parts.begin() + 2);
  }
  const bool activated = activation_of(op, g.attributes()) != Activation::none;
  const bool two = parts.size() == 2;
  // Without mask and sum, the addend's gradient is diff_dst itself.
  const bool makes_diff_addend = g.wants(1) && (activated || two);
  if (g.wants(1) && !makes_diff_addend) g.set_diff_input(1, parts[0]);
  const std::vector<bool> wanted = {g.wants(0), makes_diff_addend, g.wants(2), g.wants(3)};
  if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) return;

  const bool reads_src = !frozen || g.wants(2);
  std::vector<TensorId> inputs = {reads_src ? g.input(0) : kNoTensor,
                                  parts[0],
                                  two ? parts[1] : kNoTensor,
                                  g.input(2),
                                  g.input(3),
                                  mean,
                                  inv_std};
  if (makes_mask(op, g.attributes(), g.has_input(1))) {
    inputs.insert(inputs.end(), {kNoTensor, g.output(3)});
  } else if (activated && (g.has_input(1) || !reads_src)) {
    inputs.push_back(g.output(0));
  }
  const auto diffs = g.emit(op + "_backward", std::move(inputs), g.attributes(), wanted);
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i]) g.set_diff_input(i, diffs[i]);
  }
}

void define_normalisation_backward(OpDef& def) {
  def.inputs = {{"src", true}, {"diff_dst"}, {"diff_dst_2", true}, {"gamma"},     {"beta"},
                {"mean"},      {"inv_std"},  {"dst", true},        {"mask", true}};
  def.outputs = {{"diff_src"}, {"diff_addend"}, {"diff_gamma"}, {"diff_beta"}};
  def.infer = [](const OpShapes& s) {
    return std::vector<TensorSpec>{{s.inputs[1]}, {s.inputs[1]}, {s.inputs[3]}, {s.inputs[3]}};
  };
  def.in_place = {{0, 0}, {1, 0}, {2, 0}, {1, 1}, {2, 1}, {7, 1}};
  def.summed_inputs = {1, 2};
}

}  // namespace thimble
