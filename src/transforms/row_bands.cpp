#include "transforms/row_bands.h"

#include <algorithm>
#include <map>
#include <set>

#include "ops/core/builder.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

struct Rows {
  int64_t begin = 0;
  int64_t end = 0;  // half-open
  int64_t count() const { return end - begin; }
  friend auto operator<=>(const Rows&, const Rows&) = default;
};

Rows united(Rows a, Rows b) { return {std::min(a.begin, b.begin), std::max(a.end, b.end)}; }

bool is_map(const Tensor& t) {
  return t.shape.rank() == 4 && (t.role == Role::activation || t.role == Role::data);
}

Spatial spatial_of(const Node& node) {
  const OpDef& def = find_op(node.op);
  return def.spatial ? def.spatial(node.attributes) : Spatial{};
}

// Every row of its result comes from a few rows of its maps and from weights.
bool works_by_rows(const Graph& g, const Node& node) {
  const Spatial s = spatial_of(node);
  const bool pointwise = s.kind == Spatial::Kind::pointwise;
  if (!pointwise && s.kind != Spatial::Kind::window) return false;
  if (!node.updates.empty() || node.outputs[0] == kNoTensor) return false;
  // Of several parts, each would need its own rows.
  if (node.outputs.size() > 1 && find_op(node.op).outputs.back().name == "...") return false;
  const Tensor& dst = g.tensor(node.outputs[0]);
  if (!is_map(dst)) return false;
  int maps = 0;
  for (TensorId t : node.inputs) {
    if (t == kNoTensor) continue;
    const Tensor& src = g.tensor(t);
    if (is_map(src)) {
      ++maps;
      if (pointwise && src.shape[2] != dst.shape[2]) return false;
    } else if (src.role != Role::weight && src.role != Role::statistic) {
      return false;
    }
  }
  return pointwise ? maps > 0 : maps == 1;
}

// The rows of its map that a window needs for rows `out`, and the padding that is left of its own.
struct Window {
  Rows in;
  int64_t top = 0;
  int64_t bottom = 0;
};

Window window_of(const Spatial& s, Rows out, int64_t height) {
  const int64_t first = out.begin * s.stride[0] - s.padding[0];
  const int64_t last =
      (out.end - 1) * s.stride[0] - s.padding[0] + (s.kernel[0] - 1) * s.dilation[0] + 1;
  return {{std::max<int64_t>(first, 0), std::min(last, height)},
          std::max<int64_t>(-first, 0),
          std::max<int64_t>(last - height, 0)};
}

Rows rows_read(const Graph& g, const Node& node, TensorId src, Rows out) {
  const Spatial s = spatial_of(node);
  return s.kind == Spatial::Kind::window ? window_of(s, out, g.tensor(src).shape[2]).in : out;
}

// The rows of each tensor that a band needs, from the end of the region to its begin. Empty when
// some rows would come from padding alone.
using BandRows = std::map<TensorId, Rows>;
BandRows rows_of_band(const Graph& g, const BandedRegion& region, Rows out) {
  BandRows rows = {{region.dst, out}};
  for (size_t n = region.last; n-- > region.first;) {
    const Node& node = g.nodes[n];
    const auto made = rows.find(node.outputs[0]);
    if (made == rows.end()) continue;
    for (TensorId t : node.inputs) {
      if (t == kNoTensor || !is_map(g.tensor(t))) continue;
      const Rows read = rows_read(g, node, t, made->second);
      if (read.count() <= 0) return {};
      const auto [it, fresh] = rows.try_emplace(t, read);
      if (!fresh) it->second = united(it->second, read);
    }
  }
  return rows;
}

std::vector<Rows> bands_of(const Graph& g, const BandedRegion& region) {
  const int64_t height = g.tensor(region.dst).shape[2];
  std::vector<Rows> bands;
  for (int64_t begin = 0; begin < height; begin += region.rows) {
    bands.push_back({begin, std::min(begin + region.rows, height)});
  }
  return bands;
}

// ---- What regions cost -------------------------------------------------------------------------

// Ratios decide, not the speed of one machine.
constexpr double kFlopsPerSecond = 1e11;
constexpr double kBytesPerSecond = 1e10;
constexpr double kSecondsPerKernel = 4e-6;
// A node runs forward, again, and twice its work in its gradients.
constexpr double kPlainRuns = 3;
constexpr double kBandedRuns = 4;

int64_t map_bytes(const Graph& g, TensorId t) {
  return t == kNoTensor || !is_map(g.tensor(t)) ? 0 : 4 * g.tensor(t).shape.elements();
}

double seconds_of(const Graph& g, const Node& node) {
  int64_t bytes = map_bytes(g, node.outputs[0]);
  for (TensorId t : node.inputs) bytes += map_bytes(g, t);
  return static_cast<double>(flops_of(g, node)) / kFlopsPerSecond +
         static_cast<double>(bytes) / kBytesPerSecond;
}

// What the gradients of a node have at the same time, about: a window's maps and their gradients,
// and what the map that it reads was made from.
int64_t working_bytes(const Graph& g, const Node& node) {
  const bool window = spatial_of(node).kind == Spatial::Kind::window;
  int64_t bytes = (window ? 2 : 1) * map_bytes(g, node.outputs[0]);
  for (TensorId t : node.inputs) {
    const bool data = t != kNoTensor && g.tensor(t).role == Role::data;
    if (!data) bytes += (window ? 3 : 1) * map_bytes(g, t);
  }
  return bytes;
}

struct Estimate {
  int64_t working_bytes = 0;
  double seconds = 0;  // more than whole maps take
};

class Search {
 public:
  Search(const Graph& g, int64_t divisor) : g_(g), last_read_(g.tensors.size(), 0) {
    int64_t largest = 0;
    for (size_t n = 0; n < g.nodes.size(); ++n) {
      by_rows_.push_back(works_by_rows(g, g.nodes[n]));
      seconds_.push_back(seconds_of(g, g.nodes[n]));
      working_.push_back(thimble::working_bytes(g, g.nodes[n]));
      largest = std::max(largest, working_.back());
      for (TensorId t : g.nodes[n].inputs) {
        if (t != kNoTensor) last_read_[at(t)] = n;
      }
    }
    target_ = largest / divisor;
  }

  // The regions that bring the working set of every node under the target for the least time, or
  // as far down as they can.
  std::vector<BandedRegion> run() {
    const size_t n = g_.nodes.size();
    std::vector<Best> best(n + 1);
    best[0].reached = true;
    for (size_t i = 0; i < n; ++i) {
      improve(best[i + 1], best[i], {working_[i], 0}, {});
      if (!starts_here(i)) continue;
      for (size_t j = i + 1; j <= n && by_rows_[j - 1] && j - i <= kLongest; ++j) {
        if (j < n && !starts_here(j)) continue;
        if (const auto region = region_between(i, j)) {
          BandedRegion banded = *region;
          improve(best[j], best[i], cheapest(banded), banded);
        }
      }
    }
    std::vector<BandedRegion> regions;
    for (size_t i = n; i > 0; i = best[i].region.dst == kNoTensor ? i - 1 : best[i].region.first) {
      if (best[i].region.dst != kNoTensor) regions.push_back(best[i].region);
    }
    return {regions.rbegin(), regions.rend()};
  }

 private:
  static constexpr size_t kLongest = 48;  // nodes of a region

  struct Best {
    bool reached = false;
    int64_t excess = 0;  // of the largest working set, over the target
    double seconds = 0;
    BandedRegion region;  // that ends here; dst kNoTensor: a node as it is
  };

  void improve(Best& to, const Best& from, const Estimate& e, const BandedRegion& region) const {
    const int64_t excess = std::max(from.excess, std::max<int64_t>(e.working_bytes - target_, 0));
    const double seconds = from.seconds + e.seconds;
    if (to.reached && std::tie(to.excess, to.seconds) <= std::tie(excess, seconds)) return;
    to = {true, excess, seconds, region};
  }

  // Elementwise nodes stay with what they follow.
  bool starts_here(size_t n) const {
    return !by_rows_[n] || spatial_of(g_.nodes[n]).kind == Spatial::Kind::window;
  }

  // Nodes [first, last) when they read one map, one of theirs is read behind them, and another is
  // larger than both: otherwise bands would save nothing.
  std::optional<BandedRegion> region_between(size_t first, size_t last) const {
    BandedRegion r;
    r.first = first;
    r.last = last;
    r.src = r.dst = kNoTensor;
    std::set<TensorId> made;
    for (size_t n = first; n < last; ++n) {
      for (TensorId t : g_.nodes[n].inputs) {
        if (t == kNoTensor || !is_map(g_.tensor(t)) || made.contains(t) || t == r.src) continue;
        if (r.src != kNoTensor) return std::nullopt;
        r.src = t;
      }
      for (TensorId t : g_.nodes[n].outputs) {
        if (t == kNoTensor) continue;
        made.insert(t);
        if (last_read_[at(t)] < last) continue;
        if (r.dst != kNoTensor) return std::nullopt;
        r.dst = t;
      }
    }
    if (r.src == kNoTensor || r.dst == kNoTensor || !is_map(g_.tensor(r.dst))) return std::nullopt;
    const int64_t ends = std::max(map_bytes(g_, r.src), map_bytes(g_, r.dst));
    for (TensorId t : made) {
      if (map_bytes(g_, t) > ends) return r;
    }
    return std::nullopt;
  }

  // Chooses the height of the bands.
  Estimate cheapest(BandedRegion& region) const {
    const int64_t height = g_.tensor(region.dst).shape[2];
    Estimate best{INT64_MAX, 0};
    int64_t chosen = height;  // one band: never useful
    for (int64_t count = 2; count <= height; count += std::max<int64_t>(1, count / 4)) {
      const int64_t rows = (height + count - 1) / count;
      if (rows == region.rows) continue;
      region.rows = rows;
      const Estimate e = estimate(region);
      const auto excess = [&](const Estimate& x) {
        return std::max<int64_t>(x.working_bytes - target_, 0);
      };
      if (std::pair(excess(e), e.seconds) < std::pair(excess(best), best.seconds)) {
        best = e;
        chosen = rows;
      }
    }
    region.rows = chosen;
    return best;
  }

  Estimate estimate(const BandedRegion& region) const {
    const std::vector<Rows> bands = bands_of(g_, region);
    if (bands.size() < 2) return {INT64_MAX, 0};
    const auto count = static_cast<double>(bands.size());
    Estimate e;
    double whole = 0;
    for (size_t n = region.first; n < region.last; ++n) whole += seconds_[n];
    // Those between the first and the last are alike.
    for (const size_t b : std::set<size_t>{0, 1, bands.size() - 1}) {
      const bool inner = b > 0 && b + 1 < bands.size();
      const BandRows rows = rows_of_band(g_, region, bands[b]);
      if (rows.empty()) return {INT64_MAX, 0};
      int64_t kept = 0, largest = 0;
      double seconds = 0;
      for (size_t n = region.first; n < region.last; ++n) {
        const TensorId t = g_.nodes[n].outputs[0];
        const Rows r = rows.at(t);
        const int64_t bytes = map_bytes(g_, t) / g_.tensor(t).shape[2] * r.count();
        if (spatial_of(g_.nodes[n]).kind == Spatial::Kind::window) kept += bytes;
        largest = std::max(largest, bytes);
        seconds += seconds_[n] * static_cast<double>(r.count()) /
                   static_cast<double>(g_.tensor(t).shape[2]);
      }
      e.working_bytes = std::max(e.working_bytes, kept + 2 * largest);
      e.seconds += kBandedRuns * seconds * (inner ? count - 2 : 1);
    }
    const bool data = g_.tensor(region.src).role == Role::data;
    e.working_bytes += 2 * map_bytes(g_, region.dst) + (data ? 0 : 3) * map_bytes(g_, region.src);
    const auto nodes = static_cast<double>(region.last - region.first);
    e.seconds += kSecondsPerKernel * nodes * (kBandedRuns * count - kPlainRuns);
    e.seconds -= kPlainRuns * whole;
    return e;
  }

  const Graph& g_;
  std::vector<size_t> last_read_;  // by tensor
  std::vector<bool> by_rows_;      // by node, like those that follow
  std::vector<double> seconds_;
  std::vector<int64_t> working_;
  int64_t target_ = 0;
};

// ---- The graph ---------------------------------------------------------------------------------

class Rewriter {
 public:
  explicit Rewriter(const Graph& from) : from_(from) {
    to_ = from;
    to_.nodes.clear();
  }

  Graph run(const std::vector<BandedRegion>& regions) {
    size_t next = 0;
    for (const BandedRegion& region : regions) {
      for (; next < region.first; ++next) to_.nodes.push_back(from_.nodes[next]);
      ++region_;
      const std::vector<Rows> bands = bands_of(from_, region);
      TensorId whole = kNoTensor;
      for (size_t b = 0; b < bands.size(); ++b) {
        const size_t begin = to_.nodes.size();
        whole = add_band(region, bands[b], str_cat(" band ", b + 1), whole);
        for (size_t n = begin; n < to_.nodes.size(); ++n) {
          to_.nodes[n].region = region_;
          to_.nodes[n].band = static_cast<int32_t>(b) + 1;
        }
      }
      to_.nodes.back().outputs[0] = region.dst;
      next = region.last;
    }
    for (; next < from_.nodes.size(); ++next) to_.nodes.push_back(from_.nodes[next]);
    remove_unused_tensors();
    verify(to_);
    return std::move(to_);
  }

 private:
  TensorId add_band(const BandedRegion& region, Rows out, const std::string& suffix,
                    TensorId whole) {
    const BandRows rows = rows_of_band(from_, region, out);
    ensure(!rows.empty(), "a band of ", from_.tensor(region.dst).name, " reads padding alone");
    made_ = {};
    for (size_t n = region.first; n < region.last; ++n) {
      Node node = from_.nodes[n];
      const TensorId dst = node.outputs[0];
      const Rows range = rows.at(dst);
      const Spatial spatial = spatial_of(node);
      for (TensorId& t : node.inputs) {
        if (t == kNoTensor || !is_map(from_.tensor(t))) continue;
        if (spatial.kind == Spatial::Kind::window) {
          const Window w = window_of(spatial, range, from_.tensor(t).shape[2]);
          const auto& sides = node.attributes.integers("padding");
          node.attributes.set("padding", ints({w.top, sides[1], w.bottom, sides[3]}));
        }
        const Rows all = t == region.src ? Rows{0, from_.tensor(t).shape[2]} : rows.at(t);
        t = band_of(t, all, rows_read(from_, from_.nodes[n], t, range), suffix);
      }
      std::vector<bool> wanted;
      for (TensorId t : node.outputs) wanted.push_back(t != kNoTensor);
      made_[{dst, range}] = append_node(to_, Phase::forward, node.op, node.name + suffix,
                                        node.inputs, node.attributes, wanted)[0];
    }
    const Tensor& dst = from_.tensor(region.dst);
    return append_node(to_, Phase::forward, "add_rows", dst.name + suffix + " joined",
                       {whole, made_.at({region.dst, out})},
                       {{"begin", out.begin}, {"height", dst.shape[2]}})[0];
  }

  // Rows `wanted` of a tensor, of which this band has the rows `all`.
  TensorId band_of(TensorId t, Rows all, Rows wanted, const std::string& suffix) {
    const auto [it, fresh] = made_.try_emplace({t, wanted}, t);
    if (!fresh) return it->second;
    const auto whole = made_.find({t, all});
    const TensorId src = whole == made_.end() ? t : whole->second;
    if (wanted != all) {
      it->second =
          append_node(to_, Phase::forward, "row_slice", from_.tensor(t).name + suffix, {src},
                      {{"begin", wanted.begin - all.begin}, {"rows", wanted.count()}})[0];
    }
    return it->second;
  }

  // The maps that no longer exist whole.
  void remove_unused_tensors() {
    std::vector<bool> used(to_.tensors.size());
    for (const Node& node : to_.nodes) {
      for (const auto* ids : {&node.inputs, &node.outputs}) {
        for (TensorId t : *ids) {
          if (t != kNoTensor) used[at(t)] = true;
        }
      }
    }
    std::vector<TensorId> place(to_.tensors.size(), kNoTensor);
    std::vector<Tensor> tensors;
    for (size_t t = 0; t < place.size(); ++t) {
      if (!used[t] && !is_persistent(to_.tensors[t].role)) continue;
      place[t] = static_cast<TensorId>(tensors.size());
      tensors.push_back(std::move(to_.tensors[t]));
    }
    to_.tensors = std::move(tensors);
    for (Node& node : to_.nodes) {
      for (auto* ids : {&node.inputs, &node.outputs, &node.updates}) {
        for (TensorId& t : *ids) t = t == kNoTensor ? t : place[at(t)];
      }
    }
  }

  const Graph& from_;
  Graph to_;
  int32_t region_ = 0;
  std::map<std::pair<TensorId, Rows>, TensorId> made_;  // in this band
};

// What stands in the way of rows, for people.
std::string whole_map_op(const Graph& g) {
  for (const Node& node : g.nodes) {
    if (node.outputs[0] == kNoTensor || !is_map(g.tensor(node.outputs[0]))) continue;
    if (node.op.ends_with("_norm") && !works_by_rows(g, node)) return node.op;
  }
  return "";
}

Rewrite rewrite(const Graph& forward, int64_t divisor) {
  const std::vector<BandedRegion> regions = find_row_bands(forward, divisor);
  if (!regions.empty()) return {use_row_bands(forward, regions), ""};
  const std::string norm = whole_map_op(forward);
  if (norm.empty())
    return {std::nullopt, "no layers have larger maps between them than at their ends"};
  return {std::nullopt,
          str_cat(norm, " needs whole maps for its statistics; --norm frozen does not")};
}

}  // namespace

std::vector<BandedRegion> find_row_bands(const Graph& forward, int64_t divisor) {
  return Search(forward, divisor).run();
}

Graph use_row_bands(const Graph& forward, const std::vector<BandedRegion>& regions) {
  return Rewriter(forward).run(regions);
}

const Technique& technique_row_bands() {
  static const Technique technique = {
      .name = "row_bands",
      .summary = "Wide maps are made and differentiated band by band of their rows, never whole",
      .paper = "MCUNetV2, arXiv 2110.15352; exact, with halo",
      .stage = Technique::Stage::forward,
      .promise = [](const Graph&) { return Promise::same_math; },
      .options = {2, 4, 8},
      .evaluates = true,
      .apply = rewrite,
      .describe =
          [](int64_t divisor) {
            return str_cat("row_bands: 1/", divisor, " of the largest maps at a time");
          }};
  return technique;
}

}  // namespace thimble
