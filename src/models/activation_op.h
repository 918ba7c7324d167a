#pragma once

#include <string>

#include "ops/core/op.h"

namespace thimble {

// Ops that make each number from the one at the same place, and of nothing else.
inline bool is_activation(const std::string& op) {
  const OpDef& def = find_op(op);
  const bool of_one = def.inputs.size() == 1 && def.outputs.size() == 1 && !def.in_place.empty();
  return of_one && def.spatial && def.spatial({}).kind == Spatial::Kind::pointwise;
}

}  // namespace thimble
