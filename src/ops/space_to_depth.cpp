#include "ops/core/space.h"

// "Channel pooling": squares of pixels become channels, the first phase's channels first, as in
// ONNX. Half the side, four times the channels, nothing lost.

namespace thimble {

void define_space_to_depth(OpTable& table) {
  OpDef apart = space_op("space_to_depth", "depth_to_space", true, [](const OpShapes& s) {
    const int64_t block = s.attributes.integer("block");
    Shape dst = phase_of("space_to_depth", s);
    dst[1] *= block * block;
    return dst;
  });
  apart.summary = "squares of pixels become channels";
  table.add(apart);

  OpDef together = space_op("depth_to_space", "space_to_depth", false,
                            [](const OpShapes& s) { return whole_of("depth_to_space", s, 1); });
  together.summary = "the inverse of space_to_depth";
  table.add(together);
}

}  // namespace thimble
