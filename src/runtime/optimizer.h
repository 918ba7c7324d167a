#pragma once

#include <string>
#include <vector>

#include "autodiff/differentiate.h"
#include "ops/core/op.h"
#include "thimble/thimble.h"

namespace thimble {

// The ops that move weights, in the order of their files' names: a new file in src/ops is enough.
std::vector<const OpDef*> optimizers();

// What `options` may name: the op's attributes without those that are fields of OptimizerChoice.
std::vector<AttributeSpec> optimizer_options(const OpDef& optimizer);

// Throws UserError for a value that makes no sense, or an option that the optimizer does not have.
void check_optimizer(const OptimizerChoice& choice);

// The choice, which was checked, as settings of its op.
OptimizerSpec optimizer_spec(const OptimizerChoice& choice);

}  // namespace thimble
