#include "backends/onednn/normalisation.h"

namespace thimble::onednn {

vector::View view_of(const Context& c, const Shape& s) {
  vector::View v;
  v.images = s[0];
  v.pixels = s.rank() == 4 ? s[2] * s[3] : 1;
  v.channels = s[1];
  const int64_t lanes = vector::lanes();
  v.blocks = (v.channels + lanes - 1) / lanes;
  if (s.rank() == 4 && c.formats.blocked()) {
    v.image_stride = v.blocks * lanes * v.pixels;
    v.block_stride = lanes * v.pixels;
    v.pixel_stride = lanes;
    v.padded = true;
  } else {
    v.image_stride = v.channels * v.pixels;
    v.block_stride = lanes;
    v.pixel_stride = v.channels;
  }
  return v;
}

vector::Activation activation_of(const Attributes& a) {
  const std::string& name = a.text("activation");
  if (name == "relu") return vector::Activation::relu;
  if (name == "leaky_relu") return vector::Activation::leaky_relu;
  return name == "relu6" ? vector::Activation::relu6 : vector::Activation::none;
}

Layout normalised_layout(const Context& c, const Shape& s) {
  return s.rank() == 4 ? c.formats.map_layout(s) : plain_layout(s);
}

Layout mask_layout(const vector::View& v) {
  return {"lines", v.images * v.pixels * v.blocks * vector::lanes() / 8};
}

KernelChoice forward_choice(const Context& c, const vector::View& v, size_t mask) {
  KernelChoice choice = plain_choice(c);
  const Layout layout = normalised_layout(c, c.in(0));
  choice.inputs[0] = layout;
  if (c.has(1)) choice.inputs[1] = layout;
  choice.outputs[0] = layout;
  if (c.makes(mask)) choice.outputs[mask] = mask_layout(v);
  choice.implementation = vector::kernels().name;
  return choice;
}

KernelChoice backward_choice(const Context& c, const vector::View& v) {
  KernelChoice choice = plain_choice(c);
  const Layout layout = normalised_layout(c, c.in(1));
  for (size_t i : {size_t{0}, size_t{1}, size_t{2}, size_t{7}}) {
    if (c.has(i)) choice.inputs[i] = layout;
  }
  if (c.has(8)) choice.inputs[8] = mask_layout(v);
  for (size_t i : {size_t{0}, size_t{1}}) {
    if (c.makes(i)) choice.outputs[i] = layout;
  }
  choice.implementation = vector::kernels().name;
  return choice;
}

}  // namespace thimble::onednn
