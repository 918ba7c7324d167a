#pragma once

#include <vector>

#include "onnx/constant.h"
#include "onnx/node.h"

namespace thimble {

// Whether `fold` knows the op.
bool can_fold(const std::string& op);

// What a node makes of constants: the shape computations that exporters write around padding and
// reshaping, and weights moved about. `inputs` holds null where an optional one is absent. Throws
// Refused.
Constant fold(const NodeView& node, const std::vector<const Constant*>& inputs);

// The same elements as `shape` says, of which one may be -1, and 0 means that of `from`; sizes may
// depend on the batch.
std::vector<int64_t> reshaped(const std::vector<int64_t>& from, const std::vector<int64_t>& shape);

// An axis of a tensor of so many, counted from the end where it is negative. Throws Refused.
size_t axis_of(int64_t axis, size_t rank);

// The axes that a node names by its second input or by its attribute; `initial` when it does not.
std::vector<int64_t> axes_of(const NodeView& node, const Constant* input,
                             std::vector<int64_t> initial);

// The starts, ends, axes and steps of a Slice, by attributes or by inputs 1 to 4, for each axis.
struct Cut {
  int64_t start = 0;  // the first element
  int64_t step = 1;
  int64_t count = 0;
};
std::vector<Cut> cuts_of(const NodeView& node, const std::vector<const Constant*>& inputs,
                         const std::vector<int64_t>& shape);

}  // namespace thimble
