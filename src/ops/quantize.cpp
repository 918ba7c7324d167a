#include <concepts>

#include "ops/core/groups.h"
#include "ops/core/op.h"

// src (N, ...), counter (4), codes (N, bytes): what groups.h says, sample by sample.

namespace thimble {
namespace {

Groups groups_of(const Attributes& attributes, const Shape& src, int64_t elements) {
  return {src[0], elements / src[0], attributes.integer("bits")};
}

// Few values to a piece of work: a group takes about as long as so many scalar operations.
constexpr int64_t kGroupGrain = kParallelGrain / (4 * kGroupValues);

struct Quantize {
  template <class T>
  requires std::floating_point<T>
  static void run(const OpCall& call) {
    const T* src = call.in<T>(0);
    const RoundingKey key{call.in<int32_t>(1),
                          static_cast<uint32_t>(call.attributes.integer("layer"))};
    auto* codes = call.out<uint8_t>(0);
    const Groups groups = groups_of(call.attributes, call.in_shape(0), call.in_shape(0).elements());
    parallel_for(groups.count(), kGroupGrain, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        uint32_t words[2];
        key.of_group(groups, g, words);
        encode_group(src + groups.begin(g), groups.values(g), groups.bits, words,
                     codes + g * group_bytes(groups.bits));
      }
    });
  }
};

struct Dequantize {
  template <class T>
  requires std::floating_point<T>
  static void run(const OpCall& call) {
    const auto* codes = call.in<uint8_t>(0);
    T* dst = call.out<T>(0);
    const Groups groups =
        groups_of(call.attributes, call.out_shape(0), call.out_shape(0).elements());
    parallel_for(groups.count(), kGroupGrain, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        decode_group(codes + g * group_bytes(groups.bits), groups.values(g), groups.bits,
                     dst + groups.begin(g));
      }
    });
  }
};

Shape codes_shape(const char* op, const Attributes& attributes, const Shape& src) {
  const int64_t bits = attributes.integer("bits");
  require(bits == 8 || bits == 4, op, ": bits must be 8 or 4, got ", bits);
  require(src.rank() >= 1, op, ": src must be (N, ...), got ", src);
  return {src[0], groups_of(attributes, src, src.elements()).bytes() / src[0]};
}

}  // namespace

void define_quantize(OpTable& table) {
  const AttributeSpec bits = {"bits", int64_t{8}, "of a value: 8 or 4"};

  OpDef quantize;
  quantize.name = "quantize";
  quantize.summary = "groups of 256 values in 8 or 4 bits, rounded at random (arXiv 2104.14129)";
  quantize.attributes = {bits, {"layer", int64_t{0}, "names the random stream"}};
  quantize.inputs = {{"src"}, {"counter"}};
  quantize.outputs = {{"codes"}};
  quantize.infer = [](const OpShapes& s) {
    require(s.inputs[1] == Shape{4}, "quantize: counter must be (4), got ", s.inputs[1]);
    return std::vector<TensorSpec>{
        {codes_shape("quantize", s.attributes, s.inputs[0]), ElementType::u8}};
  };
  quantize.flops = [](const OpShapes& s) { return 16 * s.inputs[0].elements(); };
  quantize.kernels = portable_kernels<Quantize>();
  table.add(quantize);

  OpDef dequantize;
  dequantize.name = "dequantize";
  dequantize.summary = "the values that quantize rounded";
  dequantize.attributes = {bits, {"shape", std::vector<int64_t>{}, "of the values"}};
  dequantize.inputs = {{"codes"}};
  dequantize.outputs = {{"dst"}};
  dequantize.infer = [](const OpShapes& s) {
    Shape dst;
    for (int64_t d : s.attributes.integers("shape")) dst.push_back(d);
    const Shape codes = codes_shape("dequantize", s.attributes, dst);
    require(s.inputs[0] == codes, "dequantize: values of ", dst, " have codes ", codes, ", got ",
            s.inputs[0]);
    return std::vector<TensorSpec>{{dst}};
  };
  dequantize.flops = [](const OpShapes& s) { return 4 * s.inputs[0].elements(); };
  dequantize.kernels = portable_kernels<Dequantize>();
  table.add(dequantize);
}

}  // namespace thimble
