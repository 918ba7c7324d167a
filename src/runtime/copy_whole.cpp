#include "runtime/copy_whole.h"

#include <algorithm>
#include <array>

#include "base/aside_file.h"
#include "data/input_file.h"

namespace thimble {

void copy_whole(const std::string& from, const std::string& to) {
  const InputFile in(from);
  AsideFile out(to);
  std::array<char, 1 << 14> part;
  const int64_t size = in.size();
  for (int64_t at = 0; at < size;) {
    const auto count = std::min<int64_t>(size - at, static_cast<int64_t>(part.size()));
    in.read_at(at, part.data(), count);
    out.write(part.data(), count);
    at += count;
  }
  out.commit();
}

}  // namespace thimble
