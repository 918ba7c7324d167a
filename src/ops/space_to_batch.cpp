#include "ops/core/space.h"

// "Batch pooling": the phases of a map become examples of their own, which lie behind each other.
// Half the side, the same channels, nothing lost: weights do not grow. A batch norm behind it sees
// the values that it would see without, so that its statistics are those of the whole map.

namespace thimble {

void define_space_to_batch(OpTable& table) {
  OpDef apart = space_op("space_to_batch", "batch_to_space", true, [](const OpShapes& s) {
    const int64_t block = s.attributes.integer("block");
    Shape dst = phase_of("space_to_batch", s);
    dst[0] *= block * block;
    return dst;
  });
  apart.summary = "the pixels of squares, each phase by itself, become examples";
  table.add(apart);

  OpDef together = space_op("batch_to_space", "space_to_batch", false,
                            [](const OpShapes& s) { return whole_of("batch_to_space", s, 0); });
  together.summary = "the inverse of space_to_batch";
  table.add(together);
}

}  // namespace thimble
