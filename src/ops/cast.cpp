#include "ops/core/copy.h"
#include "ops/core/gradient.h"

namespace thimble {
namespace {

ElementType type_named(const std::string& name) {
  for (ElementType type : {ElementType::f32, ElementType::bf16}) {
    if (name == name_of(type)) return type;
  }
  throw UserError(str_cat("cast: a tensor is cast to f32 or bf16, got '", name, "'"));
}

// A kernel sees one scalar type: who calls it rounds what it writes.
struct Cast {
  template <class T>
  static void run(const OpCall& call) {
    copy_elements(call.in<T>(0), call.out<T>(0), call.outputs[0].elements);
  }
};

}  // namespace

void define_cast(OpTable& table) {
  OpDef def;
  def.name = "cast";
  def.summary = "the same numbers in another element type, rounded to the nearest";
  def.attributes = {{"to", std::string("f32"), "f32 or bf16"}};
  def.inputs = {{"src"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    return std::vector<TensorSpec>{{s.inputs[0], type_named(s.attributes.text("to"))}};
  };
  def.gradient = [](GradientBuilder& g) {
    g.set_diff_input(
        0, g.emit("cast", {g.diff_output()}, {{"to", std::string(name_of(g.input_type(0)))}})[0]);
  };
  def.elementwise = true;
  def.spatial = [](const Attributes&) { return Spatial{Spatial::Kind::pointwise, {}, {}, {}, {}}; };
  def.kernels = portable_kernels<Cast>();
  table.add(def);
}

}  // namespace thimble
