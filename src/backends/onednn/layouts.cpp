#include "backends/onednn/layouts.h"

#include <algorithm>
#include <numeric>

#include "backends/onednn/vector/vector.h"
#include "base/bytes.h"

namespace thimble::onednn {
namespace {

// More padding than this and channels last is both smaller and faster.
constexpr double kMaxPadding = 1.12;

const char* block_tag() { return vector::lanes() == 16 ? "nChw16c" : "nChw8c"; }

std::vector<int64_t> key_dims(const Shape& shape) { return {shape.begin(), shape.end()}; }

// In oneDNN's own style: dimensions from the outermost by strides, capital where blocked, then the
// inner blocks: "ABcd16b16a".
std::string name_of_desc(const Desc& desc) {
  const auto& md = desc.data;
  const auto& blocking = md.format_desc.blocking;
  std::vector<int> order(static_cast<size_t>(md.ndims));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return blocking.strides[a] > blocking.strides[b]; });
  std::string tag;
  const auto is_blocked = [&](int dim) {
    return std::any_of(blocking.inner_idxs, blocking.inner_idxs + blocking.inner_nblks,
                       [&](dnnl_dim_t i) { return i == dim; });
  };
  for (int dim : order) tag += static_cast<char>((is_blocked(dim) ? 'A' : 'a') + dim);
  for (int b = 0; b < blocking.inner_nblks; ++b) {
    tag += std::to_string(blocking.inner_blks[b]);
    tag += static_cast<char>('a' + blocking.inner_idxs[b]);
  }
  return tag;
}

// With AMX, whose kernels read channels last, and are several times faster than any other.
bool multiplies_tiles() {
  const auto amx = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_amx);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & amx) == amx;
}

}  // namespace

Dims dims_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

dnnl::memory::data_type data_type(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return dnnl::memory::data_type::f32;
    case ElementType::bf16:
      return dnnl::memory::data_type::bf16;
    case ElementType::i32:
      return dnnl::memory::data_type::s32;
    case ElementType::u8:
      return dnnl::memory::data_type::u8;
  }
  return dnnl::memory::data_type::undef;
}

Desc Layouts::plain_desc(const Dims& dims, dnnl::memory::data_type type) {
  Dims strides(dims.size());
  int64_t stride = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= dims[i];
  }
  return {dims, type, strides};
}

void Layouts::begin(const Graph& graph) {
  double exact = 0;
  double padded = 0;
  const auto count = [&](const Tensor& t) {
    if (t.role != Role::activation || t.shape.rank() != 4) return;
    const double lines = static_cast<double>(t.shape.elements() / t.shape[1]);
    exact += lines * static_cast<double>(t.shape[1]);
    padded += lines * static_cast<double>(round_up(t.shape[1], vector::lanes()));
  };
  // Only the forward pass decides: what is made again later must get the same layout.
  for (const Node& node : graph.nodes) {
    if (node.phase != Phase::forward) continue;
    for (TensorId t : node.outputs) {
      if (t != kNoTensor) count(graph.tensor(t));
    }
  }
  const bool tiles = multiplies_tiles() &&
                     std::any_of(graph.tensors.begin(), graph.tensors.end(),
                                 [](const Tensor& t) { return t.type == ElementType::bf16; });
  blocked_ = padded <= kMaxPadding * exact && !tiles;
}

Layout Layouts::map_layout(const Shape& s) const {
  const bool one_pixel = s[2] * s[3] == 1;
  const int64_t lanes = vector::lanes();
  if (blocked_) {
    if (one_pixel && s[1] % lanes == 0) return plain_layout(s);
    return {block_tag(), s[0] * round_up(s[1], lanes) * s[2] * s[3]};
  }
  if (one_pixel || s[1] == 1) return plain_layout(s);
  return {"nhwc", s.elements()};
}

Desc Layouts::map_desc(const Shape& shape, ElementType type) const {
  using Tag = dnnl::memory::format_tag;
  const Tag tag = !blocked_ ? Tag::nhwc : (vector::lanes() == 16 ? Tag::nChw16c : Tag::nChw8c);
  return {dims_of(shape), data_type(type), tag};
}

Layout Layouts::remember(const Shape& shape, ElementType type, const Desc& desc) {
  const auto element = static_cast<int64_t>(dnnl::memory::data_type_size(desc.data_type()));
  const auto elements = static_cast<int64_t>(desc.get_size()) / element;
  if (desc == plain_desc(desc.dims(), desc.data_type())) return {kPlain, elements};
  const Layout layout{name_of_desc(desc), elements};
  known_.insert_or_assign({layout.tag, type, key_dims(shape)}, desc);
  return layout;
}

Desc Layouts::desc_of(const Shape& shape, ElementType type, const Layout& layout) const {
  if (layout.tag == kPlain) return plain_desc(dims_of(shape), data_type(type));
  if (const auto it = known_.find({layout.tag, type, key_dims(shape)}); it != known_.end()) {
    return it->second;
  }
  ensure(shape.rank() == 4 && (layout.tag == "nhwc" || layout.tag == block_tag()),
         "no oneDNN descriptor for ", shape, " as ", layout.tag);
  using Tag = dnnl::memory::format_tag;
  const Tag tag =
      layout.tag == "nhwc" ? Tag::nhwc : (vector::lanes() == 16 ? Tag::nChw16c : Tag::nChw8c);
  return {dims_of(shape), data_type(type), tag};
}

}  // namespace thimble::onednn
