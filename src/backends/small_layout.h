#pragma once

#include <optional>

#include "backends/backend.h"

namespace thimble {

// f32 values in 8-bit blocks (ops/core/small_state.h), block by block as another layout has them
// in memory: that layout is part of the tag.
struct SmallLayout {
  Layout values;
  bool is_signed = true;
};
Layout layout_of(const SmallLayout& small);
// Nothing when it is another layout.
std::optional<SmallLayout> small_layout(const Layout& layout);

// The kernel between such a layout and any other; `backend` brings the values themselves from one
// layout to another. Rounds to the nearest: values that were read give the same bytes again.
KernelChoice reorder_small(Backend& backend, const Shape& shape, const Layout& from,
                           const Layout& to);

}  // namespace thimble
