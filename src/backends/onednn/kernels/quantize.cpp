#include <algorithm>

#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"
#include "ops/core/groups.h"

// Groups follow memory, whatever the layout. Codes of another one than plain say so.

namespace thimble::onednn {
namespace {

static_assert(vector::kGroupValues == kGroupValues);

constexpr const char* kMapCodes = "codes";  // of a feature map in the graph's format
constexpr int64_t kGrain = kParallelGrain / (2 * kGroupValues);

class QuantizeKernel : public Kernel {
 public:
  QuantizeKernel(const Groups& groups, uint32_t layer) : groups_(groups), layer_(layer) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    const auto* src = static_cast<const float*>(buffers.inputs[0]);
    const RoundingKey key{static_cast<const int32_t*>(buffers.inputs[1]), layer_};
    auto* codes = static_cast<uint8_t*>(buffers.outputs[0]);
    return bound([groups = groups_, src, key, codes] {
      parallel_for(groups.count(), kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t g = begin; g < end; ++g) {
          uint32_t words[2];
          key.of_group(groups, g, words);
          encode(groups, src + groups.begin(g), groups.values(g), words,
                 codes + g * group_bytes(groups.bits));
        }
      });
    });
  }

 private:
  static void encode(const Groups& groups, const float* src, int64_t count, const uint32_t key[2],
                     uint8_t* out) {
    if (count < kGroupValues) return encode_group(src, count, groups.bits, key, out);
    float low, high;
    vector::kernels().group_range(src, low, high);
    const GroupScale scale = group_scale(low, high, groups.bits);
    std::memcpy(out, &scale.step, 4);
    std::memcpy(out + 4, &scale.zero, 4);
    vector::kernels().encode_codes(src, scale.inverse, scale.zero, key, groups.bits == 8,
                                   out + kGroupHeaderBytes);
  }

  Groups groups_;
  uint32_t layer_;
};

class DequantizeKernel : public Kernel {
 public:
  explicit DequantizeKernel(const Groups& groups) : groups_(groups) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    const auto* codes = static_cast<const uint8_t*>(buffers.inputs[0]);
    auto* dst = static_cast<float*>(buffers.outputs[0]);
    return bound([groups = groups_, codes, dst] {
      parallel_for(groups.count(), kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t g = begin; g < end; ++g) {
          decode(groups, codes + g * group_bytes(groups.bits), groups.values(g),
                 dst + groups.begin(g));
        }
      });
    });
  }

 private:
  static void decode(const Groups& groups, const uint8_t* in, int64_t count, float* dst) {
    if (count < kGroupValues) return decode_group(in, count, groups.bits, dst);
    float step, zero;
    std::memcpy(&step, in, 4);
    std::memcpy(&zero, in + 4, 4);
    vector::kernels().decode_codes(in + kGroupHeaderBytes, step, zero, groups.bits == 8, dst);
  }

  Groups groups_;
};

Groups groups_of(const Context& c, const Shape& shape, const Layout& layout) {
  return {shape[0], layout.elements / shape[0], c.node.attributes.integer("bits")};
}

// The layout of the values of a feature map that is not plain; nothing where there is none.
std::optional<Layout> map_layout(const Context& c, const Shape& shape) {
  if (shape.rank() != 4) return std::nullopt;
  return c.formats.map_layout(shape);
}

std::optional<KernelChoice> choose_quantize(const Context& c) {
  KernelChoice choice = plain_choice(c);
  const auto map = map_layout(c, c.in(0));
  const bool as_map = map && c.layout(0) == *map && map->tag != kPlain;
  if (as_map) choice.inputs[0] = *map;
  const Groups groups = groups_of(c, c.in(0), choice.inputs[0]);
  if (as_map) choice.outputs[0] = {kMapCodes, groups.bytes()};
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<QuantizeKernel>(
      groups, static_cast<uint32_t>(c.node.attributes.integer("layer")));
  return choice;
}

std::optional<KernelChoice> choose_dequantize(const Context& c) {
  KernelChoice choice = plain_choice(c);
  if (c.layout(0).tag == kMapCodes) {
    choice.inputs[0] = c.layout(0);
    choice.outputs[0] = *map_layout(c, c.out(0));
  }
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<DequantizeKernel>(groups_of(c, c.out(0), choice.outputs[0]));
  return choice;
}

}  // namespace

void define_fast_quantize(Choosers& choosers) {
  choosers["quantize"] = choose_quantize;
  choosers["dequantize"] = choose_dequantize;
}

}  // namespace thimble::onednn
