#include <algorithm>

#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"
#include "ops/core/copy.h"

// Channels cut into parts and joined (ops/split.cpp, ops/concat.cpp) in the graph's own layout:
// channels last, each pixel's; in blocks, each example's, where parts are whole blocks.

namespace thimble::onednn {
namespace {

// In floats: rows of the whole, and where a part lies in each.
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

class ChannelsKernel : public Kernel {
 public:
  ChannelsKernel(Cut cut, bool apart) : cut_(std::move(cut)), apart_(apart) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    std::vector<float*> parts;
    for (const Part& part : cut_.parts) {
      parts.push_back(
          static_cast<float*>(apart_ ? buffers.outputs[part.port] : buffers.inputs[part.port]));
    }
    auto* whole = static_cast<float*>(apart_ ? buffers.inputs[0] : buffers.outputs[0]);
    return bound([cut = cut_, apart = apart_, parts = std::move(parts), whole] {
      for (size_t i = 0; i < parts.size(); ++i) {
        const auto& [port, begin, length] = cut.parts[i];
        if (!apart) {
          copy_rows<float>(parts[i], length, whole + begin, cut.row, cut.rows, length);
        } else if (parts[i] != nullptr) {
          copy_rows<float>(whole + begin, cut.row, parts[i], length, cut.rows, length);
        }
      }
    });
  }

 private:
  Cut cut_;
  bool apart_;
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
  KernelChoice choice = plain_choice(c);
  Cut cut{last ? whole[0] * pixels : whole[0], last ? whole[1] : whole[1] * pixels, {}};
  for (const Range& r : ranges) {
    const int64_t scale = last ? 1 : pixels;
    cut.parts.push_back({r.port, r.begin * scale, r.channels * scale});
    const bool there = apart ? c.makes(r.port) : c.has(r.port);
    if (!there) continue;
    const ElementType type = apart ? c.out_type(r.port) : c.in_type(r.port);
    const Layout part = c.formats.map_layout(apart ? c.out(r.port) : c.in(r.port));
    if (type != ElementType::f32 || part.tag != layout.tag) return std::nullopt;
    (apart ? choice.outputs : choice.inputs)[r.port] = part;
  }
  (apart ? choice.inputs : choice.outputs)[0] = layout;
  choice.implementation = "rows";
  choice.kernel = std::make_shared<ChannelsKernel>(std::move(cut), apart);
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
  return choose(c, c.in(0), {{0, begin, a.integer("end") - begin}}, true);
}

}  // namespace

void define_fast_channels(Choosers& choosers) {
  choosers["split"] = choose_split;
  choosers["split_backward"] = choose_split_backward;
  choosers["concat"] = choose_concat;
  choosers["slice"] = choose_slice;
}

}  // namespace thimble::onednn
