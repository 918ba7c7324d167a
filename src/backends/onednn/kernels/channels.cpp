#include <algorithm>

#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"
#include "ops/core/copy.h"

// Channels cut into parts and joined (ops/split.cpp, ops/concat.cpp) in the graph's own layout:
// channels last, each pixel's; in blocks, each example's, where parts are whole blocks.

namespace thimble::onednn {
namespace {

// In elements: rows of the whole, and where a part lies in each.
struct Part {
  size_t port = 0;
  int64_t begin = 0;
  int64_t length = 0;
};

struct Cut {
  int64_t rows = 0;
  int64_t row = 0;  // of the whole
  std::vector<Part> parts;
};

template <class S>
class ChannelsKernel : public Kernel {
 public:
  ChannelsKernel(Cut cut, bool apart) : cut_(std::move(cut)), apart_(apart) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    std::vector<S*> parts;
    for (const Part& part : cut_.parts) {
      parts.push_back(
          static_cast<S*>(apart_ ? buffers.outputs[part.port] : buffers.inputs[part.port]));
    }
    auto* whole = static_cast<S*>(apart_ ? buffers.inputs[0] : buffers.outputs[0]);
    return bound([cut = cut_, apart = apart_, parts = std::move(parts), whole] {
      for (size_t i = 0; i < parts.size(); ++i) {
        const auto& [port, begin, length] = cut.parts[i];
        if (!apart) {
          copy_rows<S>(parts[i], length, whole + begin, cut.row, cut.rows, length);
        } else if (parts[i] != nullptr) {
          copy_rows<S>(whole + begin, cut.row, parts[i], length, cut.rows, length);
        }
      }
    });
  }

 private:
  Cut cut_;
  bool apart_;
};

// A part of blocks that is not whole ones, plain: padded to whole ones it might be larger than what
// it is a part of.
template <class S>
class GatherKernel : public Kernel {
 public:
  GatherKernel(const Shape& whole, int64_t begin, int64_t channels)
      : batch_(whole[0]),
        blocks_((whole[1] + vector::lanes() - 1) / vector::lanes()),
        pixels_(whole[2] * whole[3]),
        begin_(begin),
        channels_(channels) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    const auto* whole = static_cast<const S*>(buffers.inputs[0]);
    auto* part = static_cast<S*>(buffers.outputs[0]);
    return bound([this, whole, part] {
      const int64_t lanes = vector::lanes();
      parallel_for(batch_ * channels_, grain_of(pixels_), [&](int64_t first, int64_t last) {
        for (int64_t nc = first; nc < last; ++nc) {
          const int64_t channel = begin_ + nc % channels_;
          const int64_t block = nc / channels_ * blocks_ + channel / lanes;
          const S* src = whole + block * pixels_ * lanes + channel % lanes;
          for (int64_t p = 0; p < pixels_; ++p) part[nc * pixels_ + p] = src[p * lanes];
        }
      });
    });
  }

 private:
  int64_t batch_, blocks_, pixels_, begin_, channels_;
};

bool lie_in_blocks(int64_t channels) { return channels % vector::lanes() == 0; }

// Channels [begin, begin + channels) for each part, by port.
struct Range {
  size_t port = 0;
  int64_t begin = 0;
  int64_t channels = 0;
};

std::optional<KernelChoice> choose(const Context& c, const Shape& whole,
                                   const std::vector<Range>& ranges, bool apart) {
  if (whole.rank() != 4 || c.node.attributes.integer("axis") != 1) return std::nullopt;
  const Layout layout = c.formats.map_layout(whole);
  if (layout.tag == kPlain) return std::nullopt;
  const bool last = layout.tag == "nhwc";
  const int64_t pixels = whole[2] * whole[3];
  const auto channels_fit = [&](const Range& r) {
    return last || (lie_in_blocks(r.begin) && lie_in_blocks(r.channels));
  };
  if (!channels_fit({0, 0, whole[1]}) || !std::all_of(ranges.begin(), ranges.end(), channels_fit)) {
    return std::nullopt;
  }
  const ElementType numbers = c.in_type(0);
  KernelChoice choice = plain_choice(c);
  Cut cut{last ? whole[0] * pixels : whole[0], last ? whole[1] : whole[1] * pixels, {}};
  for (const Range& r : ranges) {
    const int64_t scale = last ? 1 : pixels;
    cut.parts.push_back({r.port, r.begin * scale, r.channels * scale});
    const bool there = apart ? c.makes(r.port) : c.has(r.port);
    if (!there) continue;
    const ElementType type = apart ? c.out_type(r.port) : c.in_type(r.port);
    const Layout part = c.formats.map_layout(apart ? c.out(r.port) : c.in(r.port));
    if (type != numbers || part.tag != layout.tag) return std::nullopt;
    (apart ? choice.outputs : choice.inputs)[r.port] = part;
  }
  (apart ? choice.inputs : choice.outputs)[0] = layout;
  choice.implementation = "rows";
  if (numbers == ElementType::bf16) {
    choice.kernel = std::make_shared<ChannelsKernel<Bf16>>(std::move(cut), apart);
  } else {
    choice.kernel = std::make_shared<ChannelsKernel<float>>(std::move(cut), apart);
  }
  return choice;
}

std::vector<Range> ranges_of(const std::vector<int64_t>& sizes) {
  std::vector<Range> ranges;
  int64_t begin = 0;
  for (int64_t size : sizes) {
    ranges.push_back({ranges.size(), begin, size});
    begin += size;
  }
  return ranges;
}

std::optional<KernelChoice> choose_split(const Context& c) {
  return choose(c, c.in(0), ranges_of(c.node.attributes.integers("sizes")), true);
}

std::optional<KernelChoice> choose_split_backward(const Context& c) {
  return choose(c, c.out(0), ranges_of(c.node.attributes.integers("sizes")), false);
}

std::optional<KernelChoice> choose_concat(const Context& c) {
  if (c.out(0).rank() != 4) return std::nullopt;
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < c.node.inputs.size(); ++i) sizes.push_back(c.in(i)[1]);
  return choose(c, c.out(0), ranges_of(sizes), false);
}

std::optional<KernelChoice> choose_slice(const Context& c) {
  const Attributes& a = c.node.attributes;
  const int64_t begin = a.integer("begin");
  const int64_t channels = a.integer("end") - begin;
  if (auto rows = choose(c, c.in(0), {{0, begin, channels}}, true)) return rows;
  const bool of_channels = c.in(0).rank() == 4 && a.integer("axis") == 1;
  if (!of_channels || !c.formats.blocked()) return std::nullopt;
  const Layout layout = c.formats.map_layout(c.in(0));
  if (layout.tag == kPlain) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = layout;
  choice.implementation = "gather";
  if (c.in_type(0) == ElementType::bf16) {
    choice.kernel = std::make_shared<GatherKernel<Bf16>>(c.in(0), begin, channels);
  } else {
    choice.kernel = std::make_shared<GatherKernel<float>>(c.in(0), begin, channels);
  }
  return choice;
}

}  // namespace

void define_fast_channels(Choosers& choosers) {
  choosers["split"] = choose_split;
  choosers["split_backward"] = choose_split_backward;
  choosers["concat"] = choose_concat;
  choosers["slice"] = choose_slice;
}

}  // namespace thimble::onednn
