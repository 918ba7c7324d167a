#include "memory/place.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/random.h"

namespace thimble {
namespace {

using OrderList = std::vector<size_t>;

// A block that has its place.
struct Placed {
  int64_t begin, end;  // bytes
  LiveRange range;
};

// First fit in the given order: the lowest gap between the placed blocks that live at the same
// time. `offsets` is the result; stops early once `limit` is exceeded. Placed blocks are kept in
// the order of their bytes: nothing is sorted, and most searches end at a gap.
int64_t first_fit(const std::vector<Block>& blocks, const OrderList& order,
                  std::vector<Placed>& placed, std::vector<int64_t>& offsets, int64_t limit) {
  placed.clear();
  int64_t top = 0;
  for (size_t b : order) {
    const Block& block = blocks[b];
    int64_t offset = 0;
    for (const Placed& p : placed) {
      if (!overlaps(p.range, block.range)) continue;
      if (p.begin - offset >= block.bytes) break;
      offset = std::max(offset, p.end);
    }
    offsets[b] = offset;
    const Placed here = {offset, offset + block.bytes, block.range};
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), here,
                         [](const Placed& x, const Placed& y) { return x.begin < y.begin; }),
        here);
    top = std::max(top, here.end);
    if (top > limit) return top;
  }
  return top;
}

// Orders that suit training: large first; long-lived first (saved tensors nest like a stack); by
// the area that a block takes; and by time.
std::vector<OrderList> starting_orders(const std::vector<Block>& blocks) {
  using Key = std::function<int64_t(const Block&)>;
  const auto length = [](const Block& b) { return int64_t{b.range.last} - b.range.first; };
  const std::vector<Key> keys = {[](const Block& b) { return b.bytes; }, length,
                                 [&](const Block& b) { return b.bytes * length(b); },
                                 [](const Block& b) { return -int64_t{b.range.first}; },
                                 [](const Block& b) { return int64_t{b.range.last}; }};
  std::vector<OrderList> orders;
  for (const Key& key : keys) {
    OrderList order(blocks.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      const auto ka = key(blocks[a]);
      const auto kb = key(blocks[b]);
      return ka != kb ? ka > kb : blocks[a].bytes > blocks[b].bytes;
    });
    orders.push_back(std::move(order));
  }
  return orders;
}

}  // namespace

LowerBound lower_bound(const std::vector<Block>& blocks) {
  int32_t last = 0;
  for (const Block& b : blocks) last = std::max(last, b.range.last);
  std::vector<int64_t> change(static_cast<size_t>(last) + 1);
  for (const Block& b : blocks) {
    change[static_cast<size_t>(b.range.first)] += b.bytes;
    change[static_cast<size_t>(b.range.last)] -= b.bytes;
  }
  LowerBound bound;
  int64_t live = 0;
  for (size_t step = 0; step < change.size(); ++step) {
    live += change[step];
    if (live > bound.bytes) bound = {live, static_cast<int32_t>(step)};
  }
  return bound;
}

int64_t place_blocks(std::vector<Block>& blocks) {
  constexpr int kTries = 400;
  const int64_t bound = lower_bound(blocks).bytes;
  std::vector<Placed> placed;
  std::vector<int64_t> offsets(blocks.size());
  std::vector<int64_t> best_offsets(blocks.size(), 0);
  int64_t best = INT64_MAX;
  OrderList best_order;
  const auto attempt = [&](const OrderList& order) {
    const int64_t top = first_fit(blocks, order, placed, offsets, best);
    if (top >= best) return;
    best = top;
    best_order = order;
    best_offsets = offsets;
  };
  for (const OrderList& order : starting_orders(blocks)) {
    attempt(order);
    if (best == bound) break;
  }
  const RandomStream random(0, 0);
  for (int t = 0; t < kTries && best > bound; ++t) {
    // Something at the top was placed too late: let it go first, or a random one before another.
    OrderList order = best_order;
    const auto size = static_cast<int64_t>(order.size());
    size_t from = 0;
    if (t % 2 == 0) {
      std::vector<size_t> high;
      for (size_t i = 0; i < order.size(); ++i) {
        if (best_offsets[order[i]] + blocks[order[i]].bytes > bound) high.push_back(i);
      }
      const auto pick =
          random.below(static_cast<uint64_t>(3 * t), static_cast<int64_t>(high.size()));
      from = high[static_cast<size_t>(pick)];
    } else {
      from = static_cast<size_t>(random.below(static_cast<uint64_t>(3 * t + 1), size));
    }
    const auto to = static_cast<size_t>(
        random.below(static_cast<uint64_t>(3 * t + 2), static_cast<int64_t>(from) + 1));
    std::rotate(order.begin() + static_cast<std::ptrdiff_t>(to),
                order.begin() + static_cast<std::ptrdiff_t>(from),
                order.begin() + static_cast<std::ptrdiff_t>(from) + 1);
    attempt(order);
  }
  for (size_t b = 0; b < blocks.size(); ++b) blocks[b].offset = best_offsets[b];
  return blocks.empty() ? 0 : best;
}

}  // namespace thimble
