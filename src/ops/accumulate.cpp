#include <algorithm>

#include "ops/core/op.h"

namespace thimble {
namespace {

struct Accumulate {
  template <class T>
  static void run(const OpCall& call) {
    const T* src = call.in<T>(1);
    const T scale = T(call.attributes.real("scale"));
    T* sum = call.out<T>(0);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sum[i] += scale * src[i];
    });
  }
};

struct Clear {
  template <class T>
  static void run(const OpCall& call) {
    std::fill_n(call.out<T>(0), call.outputs[0].elements, T(0));
  }
};

}  // namespace

void define_accumulate(OpTable& table) {
  OpDef add;
  add.name = "accumulate";
  add.summary = "adds a scaled tensor to a running sum";
  add.attributes = {{"scale", 1.0, "multiplies src"}};
  add.inputs = {{"sum"}, {"src"}};
  add.infer = [](const OpShapes& s) {
    require(s.inputs[0] == s.inputs[1], "accumulate: sum ", s.inputs[0], " and src ", s.inputs[1],
            " must have one shape");
    return std::vector<TensorSpec>{};
  };
  add.updates = [](const OpShapes&) { return std::vector<size_t>{0}; };
  add.flops = [](const OpShapes& s) { return 2 * s.inputs[0].elements(); };
  add.elementwise = true;
  add.kernels = portable_kernels<Accumulate>();
  table.add(add);

  OpDef clear;
  clear.name = "clear";
  clear.summary = "sets a running sum to zero";
  clear.inputs = {{"sum"}};
  clear.infer = [](const OpShapes&) { return std::vector<TensorSpec>{}; };
  clear.updates = [](const OpShapes&) { return std::vector<size_t>{0}; };
  clear.flops = [](const OpShapes& s) { return s.inputs[0].elements(); };
  clear.elementwise = true;
  clear.kernels = portable_kernels<Clear>();
  table.add(clear);
}

}  // namespace thimble
