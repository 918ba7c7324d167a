#include "backends/small_layout.h"

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "ops/core/small_state.h"

namespace thimble {
namespace {

constexpr int64_t kAlignment = 64;  // one cache line
constexpr std::string_view kSigned = "signed8 ";
constexpr std::string_view kUnsigned = "unsigned8 ";

// Blocks to values and then, by the backend, to their layout; or the other way round.
class SmallReorder : public Kernel {
 public:
  SmallReorder(const SmallLayout& small, bool reads, KernelChoice values)
      : small_(small), reads_(reads), values_(std::move(values)) {}

  int64_t values_bytes() const {
    return values_.kernel == nullptr ? 0 : round_up(small_.values.elements * 4, kAlignment);
  }

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    auto* blocks = static_cast<uint8_t*>(reads_ ? b.inputs[0] : b.outputs[0]);
    if (values_.kernel == nullptr) {
      auto* plain = static_cast<float*>(reads_ ? b.outputs[0] : b.inputs[0]);
      return bound([small = small_, reads = reads_, blocks, plain] {
        convert(small, reads, blocks, plain);
      });
    }
    auto* values = static_cast<float*>(b.scratch);
    void* other = reads_ ? b.outputs[0] : b.inputs[0];
    void* place = values;
    void* rest = static_cast<std::byte*>(b.scratch) + values_bytes();
    auto move = reads_ ? values_.kernel->bind({{&place, 1}, {&other, 1}, rest})
                       : values_.kernel->bind({{&other, 1}, {&place, 1}, rest});
    return bound([small = small_, reads = reads_, blocks, values, move = std::move(move)] {
      if (!reads) move->run();
      convert(small, reads, blocks, values);
      if (reads) move->run();
    });
  }

 private:
  static void convert(const SmallLayout& small, bool reads, uint8_t* state, float* values) {
    const int64_t count = small.values.elements;
    for (int64_t block = 0; block * kStateBlock < count; ++block) {
      const StateBlock b = StateBlock::of(state, count, block);
      float* at = values + block * kStateBlock;
      if (reads) {
        small.is_signed ? decode_signed(b, at) : decode_unsigned(b, at);
      } else {
        small.is_signed ? encode_signed(b, at, nullptr, 0) : encode_unsigned(b, at, nullptr, 0);
      }
    }
  }

  SmallLayout small_;
  bool reads_;
  KernelChoice values_;  // without kernel: the values have that layout already
};

}  // namespace

Layout layout_of(const SmallLayout& small) {
  const Layout& v = small.values;
  return {str_cat(small.is_signed ? kSigned : kUnsigned, v.elements, ' ', v.tag),
          small_state_bytes(v.elements) / 4};
}

std::optional<SmallLayout> small_layout(const Layout& layout) {
  std::string_view tag = layout.tag;
  const bool is_signed = tag.starts_with(kSigned);
  if (!is_signed && !tag.starts_with(kUnsigned)) return std::nullopt;
  tag.remove_prefix(is_signed ? kSigned.size() : kUnsigned.size());
  SmallLayout small{{}, is_signed};
  const auto number = std::from_chars(tag.data(), tag.data() + tag.size(), small.values.elements);
  small.values.tag = std::string(number.ptr + 1, tag.data() + tag.size());
  return small;
}

KernelChoice reorder_small(Backend& backend, const Shape& shape, const Layout& from,
                           const Layout& to) {
  const auto source = small_layout(from);
  const auto target = small_layout(to);
  ensure(source.has_value() != target.has_value(), "no kernel from ", from.tag, " to ", to.tag);
  const SmallLayout& small = source ? *source : *target;
  const Layout& first = source ? small.values : from;
  const Layout& last = source ? to : small.values;
  KernelChoice values;
  if (first != last) values = backend.reorder(shape, ElementType::f32, first, last);
  KernelChoice choice;
  choice.inputs = {from};
  choice.outputs = {to};
  choice.implementation = "reorder";
  const int64_t scratch_bytes = values.scratch_bytes;
  auto kernel = std::make_shared<SmallReorder>(small, source.has_value(), std::move(values));
  choice.scratch_bytes = kernel->values_bytes() + scratch_bytes;
  choice.kernel = std::move(kernel);
  return choice;
}

}  // namespace thimble
