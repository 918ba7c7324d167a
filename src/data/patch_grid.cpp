#include "data/patch_grid.h"

#include "base/error.h"

namespace thimble {

void PatchGrid::check() const {
  ensure(picture.rank() == 3 && patch.rank() == 3 && picture[0] == patch[0], "patches ", patch,
         " of ", picture);
  require(patch[1] <= picture[1] && patch[2] <= picture[2], "patches of ", patch[1], 'x', patch[2],
          " do not fit in pictures of ", picture[1], 'x', picture[2],
          "; make the pictures larger or the patches smaller");
  require(step >= 0 && step <= std::min(patch[1], patch[2]), "patches of ", patch[1], 'x', patch[2],
          " that begin ", step, " pixels apart would leave pixels out; needed at most ",
          std::min(patch[1], patch[2]));
}

void PatchGrid::cut(const float* src, int64_t index, float* dst) const {
  const int64_t top = place(1, index / across()), left = place(2, index % across());
  for (int64_t c = 0; c < patch[0]; ++c) {
    for (int64_t y = 0; y < patch[1]; ++y) {
      const float* row = src + (c * picture[1] + top + y) * picture[2] + left;
      dst = std::copy_n(row, patch[2], dst);
    }
  }
}

}  // namespace thimble
