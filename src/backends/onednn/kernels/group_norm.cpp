#include <algorithm>
#include <cmath>

#include "backends/onednn/normalisation.h"
#include "base/parallel.h"

// Group norm by batch norm's vector kernels: an image's sums by channel, each shifted by the
// channel's first value, are joined in double to its groups' as distances from the group's first
// channel, so that nothing is lost to a common mean; each channel then has its group's mean and
// deviation. A unit is the fewest channel blocks that hold whole groups: one block where its lanes
// divide into groups. Its lines stay in the cache between the two passes.

namespace thimble::onednn {
namespace {

constexpr int kMax = vector::kMaxLanes;

float wide(float x) { return x; }
float wide(Bf16 x) { return float_of(x); }

struct Units {
  int64_t width;   // channels of a group
  int64_t groups;  // of an image
  int64_t blocks;  // of a unit
  int64_t count;   // of an image

  Units(const vector::View& v, int64_t image_groups)
      : width(v.channels / image_groups), groups(image_groups) {
    const int64_t lanes = vector::lanes();
    blocks = 1;
    while (blocks < v.blocks && blocks * lanes % width != 0) ++blocks;
    count = (v.blocks + blocks - 1) / blocks;
  }
};

template <class T>
void advance(T*& p, int64_t by) {
  if (p != nullptr) p += by;
}

int64_t map_offset(const vector::View& v, int64_t n, int64_t block) {
  return n * v.image_stride + block * v.block_stride;
}

int64_t mask_offset(const vector::View& v, int64_t n, int64_t block) {
  return (block * v.images + n) * v.pixels * vector::lanes() / 8;
}

vector::View one_image(const vector::View& v, int64_t block) {
  vector::View one = v;
  one.images = 1;
  one.channels = v.channels - block * vector::lanes();
  return one;
}

// Channel block `block` of image `n` alone, as block 0 of one image. `maps`: its members that are
// maps, each null or moved there.
template <class Norm, class... Map>
Norm block_of(Norm a, int64_t n, int64_t block, Map Norm::*... maps) {
  (advance(a.*maps, map_offset(a.view, n, block)), ...);
  advance(a.mask, mask_offset(a.view, n, block));
  a.gamma += block * vector::lanes();
  a.beta += block * vector::lanes();
  a.view = one_image(a.view, block);
  return a;
}

template <class S>
vector::NormForward<S> at(const vector::NormForward<S>& a, int64_t n, int64_t block) {
  using Norm = vector::NormForward<S>;
  return block_of(a, n, block, &Norm::src, &Norm::addend, &Norm::dst);
}

template <class S>
vector::NormBackward<S> at(const vector::NormBackward<S>& a, int64_t n, int64_t block) {
  using Norm = vector::NormBackward<S>;
  return block_of(a, n, block, &Norm::src, &Norm::diff_dst, &Norm::diff_dst_2, &Norm::dst,
                  &Norm::diff_src, &Norm::diff_addend);
}

struct Group {
  int64_t channels = 0;
  double origin = 0;  // the first channel's mean
  // Over channels: of their means' distances from the origin, of these squared, of the squared
  // distances of a channel's values from its mean.
  double sum = 0, squares = 0, within = 0;

  void add(double mean, double squared_distances) {
    if (channels++ == 0) origin = mean;
    sum += mean - origin;
    squares += (mean - origin) * (mean - origin);
    within += squared_distances;
  }
  double mean() const { return origin + sum / static_cast<double>(channels); }
  double variance(double pixels) const {
    const auto n = static_cast<double>(channels);
    return (within / pixels + std::max(0.0, squares - sum * sum / n)) / n;
  }
};

// At most kMax groups, or one that spans several blocks.
struct Unit {
  const Units& units;
  int64_t first_block, last_block;
  int64_t first_group;

  Unit(const Units& u, const vector::View& v, int64_t unit)
      : units(u),
        first_block(unit * u.blocks),
        last_block(std::min(first_block + u.blocks, v.blocks)),
        first_group(first_block * vector::lanes() / u.width) {}

  // Calls body(lane, its group counted from the unit's first) for the channels of `block`.
  template <class Body>
  void each_lane(const vector::View& one, int64_t block, const Body& body) const {
    const int64_t before = (block - first_block) * vector::lanes();
    const int64_t count = std::min<int64_t>(one.channels, vector::lanes());
    int64_t group = before / units.width;
    int64_t left = units.width - before % units.width;
    for (int64_t i = 0; i < count; ++i) {
      body(i, group);
      if (--left > 0) continue;
      left = units.width;
      ++group;
    }
  }
  int64_t last_group(const vector::View& v) const {
    return std::min(last_block * vector::lanes(), v.channels) / units.width;
  }
};

template <class S>
class ForwardKernel : public Kernel {
 public:
  using Args = vector::NormForward<S>;

  ForwardKernel(const Args& args, int64_t groups) : args_(args), units_(args.view, groups) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    Args args = args_;
    const auto in = [&](size_t i) { return static_cast<float*>(b.inputs[i]); };
    const auto out = [&](size_t i) { return static_cast<float*>(b.outputs[i]); };
    args.src = static_cast<S*>(b.inputs[0]);
    args.addend = static_cast<S*>(b.inputs[1]);
    args.gamma = in(2);
    args.beta = in(3);
    args.dst = static_cast<S*>(b.outputs[0]);
    args.mean = out(1);
    args.inv_std = out(2);
    args.mask = static_cast<uint8_t*>(b.outputs[3]);
    return bound([this, args] { run(args); });
  }

 private:
  void run(const Args& args) const {
    const vector::View& v = args.view;
    const int64_t work = units_.blocks * vector::lanes() * v.pixels + 1;
    parallel_for(v.images * units_.count, kParallelGrain / work + 1,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     run_unit(args, i / units_.count, Unit(units_, v, i % units_.count));
                   }
                 });
  }

  void run_unit(const Args& args, int64_t n, const Unit& unit) const {
    const auto& k = vector::kernels().of<S>();
    const auto pixels = static_cast<double>(args.view.pixels);
    Group groups[kMax];
    for (int64_t block = unit.first_block; block < unit.last_block; ++block) {
      const Args a = at(args, n, block);
      vector::Sums sums = {};
      k.norm_sums(a, 0, 0, a.view.pixels, sums);
      unit.each_lane(a.view, block, [&](int64_t i, int64_t g) {
        const double shifted = sums.first[i] / pixels;
        groups[g].add(double{wide(a.src[i])} + shifted,
                      std::max(0.0, sums.second[i] - sums.first[i] * shifted));
      });
    }
    float mean[kMax], inv_std[kMax];
    const int64_t count = unit.last_group(args.view) - unit.first_group;
    for (int64_t g = 0; g < count; ++g) {
      const double variance = groups[g].variance(pixels);
      mean[g] = static_cast<float>(groups[g].mean());
      inv_std[g] = static_cast<float>(1 / std::sqrt(variance + static_cast<double>(args.epsilon)));
      const int64_t place = n * units_.groups + unit.first_group + g;
      if (args.mean != nullptr) args.mean[place] = mean[g];
      if (args.inv_std != nullptr) args.inv_std[place] = inv_std[g];
    }
    for (int64_t block = unit.first_block; block < unit.last_block; ++block) {
      Args a = at(args, n, block);
      float channel_mean[kMax] = {}, channel_inv_std[kMax] = {};
      unit.each_lane(a.view, block, [&](int64_t i, int64_t g) {
        channel_mean[i] = mean[g];
        channel_inv_std[i] = inv_std[g];
      });
      a.mean = channel_mean;
      a.inv_std = channel_inv_std;
      k.norm_apply(a, 0, 0, a.view.pixels);
    }
  }

  Args args_;  // without addresses
  Units units_;
};

template <class S>
class BackwardKernel : public Kernel {
 public:
  using Args = vector::NormBackward<S>;

  BackwardKernel(const Args& args, int64_t groups)
      : args_(args), units_(args.view, groups), parts_(parts_of(args.view.images, units_)) {}

  int64_t scratch_bytes() const {
    return parts_ * args_.view.blocks * static_cast<int64_t>(sizeof(vector::Sums));
  }

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    return bound([this, args = with_addresses(args_, b),
                  sums = static_cast<vector::Sums*>(b.scratch)] { run(args, sums); });
  }

 private:
  // Units are independent. When they do not divide well among the threads, images are split too.
  static int64_t parts_of(int64_t images, const Units& units) {
    const int64_t threads = thread_count();
    const bool few = units.count < 8 * threads && units.count % threads != 0;
    return few ? std::min(threads, images) : 1;
  }

  void run(const Args& args, vector::Sums* sums) const {
    const vector::View& v = args.view;
    const int64_t work = units_.blocks * vector::lanes() * v.pixels * v.images / parts_ + 1;
    parallel_for(units_.count * parts_, kParallelGrain / work + 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t part = i / units_.count;  // neighbours in memory go to one thread
        const Unit unit(units_, v, i % units_.count);
        vector::Sums* mine = sums + part * v.blocks;
        for (int64_t block = unit.first_block; block < unit.last_block; ++block) mine[block] = {};
        const int64_t last = v.images * (part + 1) / parts_;
        for (int64_t n = v.images * part / parts_; n < last; ++n) run_unit(args, n, unit, mine);
      }
    });
    for (int64_t c = 0; c < v.channels; ++c) {
      const int64_t block = c / vector::lanes(), lane = c % vector::lanes();
      double first = 0, second = 0;
      for (int64_t part = 0; part < parts_; ++part) {
        first += sums[part * v.blocks + block].first[lane];
        second += sums[part * v.blocks + block].second[lane];
      }
      if (args.diff_beta != nullptr) args.diff_beta[c] = static_cast<float>(first);
      if (args.diff_gamma != nullptr) args.diff_gamma[c] = static_cast<float>(second);
    }
  }

  // `parameters`: by block, sums of g and of g * normalised src, which this image adds to.
  void run_unit(const Args& args, int64_t n, const Unit& unit, vector::Sums* parameters) const {
    const auto& k = vector::kernels().of<S>();
    const float* mean = args.mean + n * units_.groups + unit.first_group;
    const float* inv_std = args.inv_std + n * units_.groups + unit.first_group;
    float channel_mean[kMax] = {}, channel_inv_std[kMax] = {};
    const auto block_of = [&](int64_t block) {
      Args a = at(args, n, block);
      unit.each_lane(a.view, block, [&](int64_t i, int64_t g) {
        channel_mean[i] = mean[g];
        channel_inv_std[i] = inv_std[g];
      });
      a.mean = channel_mean;
      a.inv_std = channel_inv_std;
      return a;
    };
    double group_g[kMax] = {}, group_gx[kMax] = {};  // of gamma * g, of gamma * g * (src - mean)
    for (int64_t block = unit.first_block; block < unit.last_block; ++block) {
      const Args a = block_of(block);
      vector::Sums sums = {};
      k.norm_diff_sums(a, 0, 0, a.view.pixels, sums);
      unit.each_lane(a.view, block, [&](int64_t i, int64_t g) {
        parameters[block].first[i] += sums.first[i];
        parameters[block].second[i] += sums.second[i] * static_cast<double>(channel_inv_std[i]);
        group_g[g] += sums.first[i] * static_cast<double>(a.gamma[i]);
        group_gx[g] += sums.second[i] * static_cast<double>(a.gamma[i]);
      });
    }
    if (args.diff_src == nullptr) return;
    const auto count = static_cast<double>(units_.width * args.view.pixels);
    double centre[kMax], slope[kMax];
    for (int64_t g = 0; g < unit.last_group(args.view) - unit.first_group; ++g) {
      const auto inv = static_cast<double>(inv_std[g]);
      centre[g] = inv * group_g[g] / count;
      slope[g] = inv * inv * inv * group_gx[g] / count;
    }
    for (int64_t block = unit.first_block; block < unit.last_block; ++block) {
      const Args a = block_of(block);
      vector::Sums rest = {};  // centre and slope
      unit.each_lane(a.view, block, [&](int64_t i, int64_t g) {
        rest.first[i] = centre[g];
        rest.second[i] = slope[g];
      });
      k.norm_diff_apply(a, 0, 0, a.view.pixels, rest);
    }
  }

  Args args_;  // without addresses
  Units units_;
  int64_t parts_;
};

template <class Args>
Args with_attributes(const Context& c, const vector::View& view) {
  Args args;
  args.view = view;
  args.activation = activation_of(c.node.attributes);
  args.slope = static_cast<float>(c.node.attributes.real("slope"));
  args.epsilon = static_cast<float>(c.node.attributes.real("epsilon"));
  return args;
}

template <class S>
KernelChoice forward_of(const Context& c) {
  const auto args = with_attributes<vector::NormForward<S>>(c, view_of(c, c.in(0)));
  KernelChoice choice = forward_choice(c, args.view);
  choice.kernel = std::make_shared<ForwardKernel<S>>(args, c.node.attributes.integer("groups"));
  return choice;
}

template <class S>
KernelChoice backward_of(const Context& c) {
  const auto args = with_attributes<vector::NormBackward<S>>(c, view_of(c, c.in(0)));
  KernelChoice choice = backward_choice(c, args.view);
  const auto kernel =
      std::make_shared<BackwardKernel<S>>(args, c.node.attributes.integer("groups"));
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.kernel = kernel;
  return choice;
}

bool is_bf16(const Context& c) { return c.in_type(0) == ElementType::bf16; }

std::optional<KernelChoice> choose_forward(const Context& c) {
  return is_bf16(c) ? forward_of<Bf16>(c) : forward_of<float>(c);
}

std::optional<KernelChoice> choose_backward(const Context& c) {
  return is_bf16(c) ? backward_of<Bf16>(c) : backward_of<float>(c);
}

}  // namespace

void define_fast_group_norm(Choosers& choosers) {
  choosers["group_norm"] = choose_forward;
  choosers["group_norm_backward"] = choose_backward;
}

}  // namespace thimble::onednn
