#include "data/class_draw.h"

#include "base/random.h"

namespace thimble {
namespace {

// Keep the draws apart from each other and from the shuffle, which uses the plain seed. They must
// not change, or old runs cannot be resumed.
constexpr uint64_t kClassKey = 0x636c61737365;
constexpr uint64_t kExampleKey = 0x6578616d706c65;

// A stream of its own for each pair of numbers.
uint64_t stream_of(uint64_t seed, int64_t epoch, uint64_t a, uint64_t b) {
  return RandomStream(seed, static_cast<uint64_t>(epoch)).bits(a << 32 ^ b);
}

}  // namespace

DrawnExample draw_by_class(std::span<const int64_t> class_ends, uint64_t seed, int64_t epoch,
                           int64_t place) {
  const auto classes = static_cast<int64_t>(class_ends.size());
  const int64_t round = place / classes;
  const uint64_t class_seed = seed ^ kClassKey, example_seed = seed ^ kExampleKey;
  const Permutation order(classes, class_seed,
                          stream_of(class_seed, epoch, 0, static_cast<uint64_t>(round)));
  const auto c = static_cast<size_t>(order.permuted(place % classes));
  DrawnExample drawn;
  drawn.first = c == 0 ? 0 : class_ends[c - 1];
  drawn.count = class_ends[c] - drawn.first;
  const auto pass = static_cast<uint64_t>(round / drawn.count);
  drawn.at = Permutation(drawn.count, example_seed, stream_of(example_seed, epoch, c, pass))
                 .permuted(round % drawn.count);
  return drawn;
}

}  // namespace thimble
