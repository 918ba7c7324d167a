#include "backends/onednn/onednn.h"

namespace thimble::onednn {
namespace {

// Feature maps come out in the format of the graph: one pass over the images casts and lays out.
std::optional<KernelChoice> choose_cast(const Context& c) {
  const Shape& shape = c.in(0);
  KernelChoice choice = plain_choice(c);
  if (c.layout(0).decided()) choice.inputs[0] = c.layout(0);
  const bool map = shape.rank() == 4 && c.out_type(0) == ElementType::bf16;
  choice.outputs[0] = map ? c.formats.map_layout(shape) : choice.inputs[0];
  auto kernel = std::make_shared<PrimitiveKernel>(c.engine, c.stream);
  kernel->add_reorder(c.formats.desc_of(shape, c.in_type(0), choice.inputs[0]), input(0),
                      c.formats.desc_of(shape, c.out_type(0), choice.outputs[0]), output(0));
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.implementation = "reorder";
  choice.kernel = std::move(kernel);
  return choice;
}

}  // namespace

void define_fast_cast(Choosers& choosers) { choosers["cast"] = choose_cast; }

}  // namespace thimble::onednn
