#include <cstring>

#include "backends/onednn/addresses.h"
#include "backends/onednn/onednn.h"
#include "ops/core/sums.h"

// Trained channels of a weight (ops/write_channels.cpp), between the layout of the weight and the
// one in which the gradient of the channels is made: neither is brought into another.

namespace thimble::onednn {
namespace {

// Addresses of the channels [first, first + count) of an axis, in elements: output by output, and
// of what each output has.
struct Addresses {
  std::vector<int32_t> output, row;

  Addresses(const Shape& shape, const Desc& desc, const ChannelRange& range) {
    // Weights of a grouped convolution have the groups split off their outputs.
    const auto dims = desc.dims();
    const bool grouped = static_cast<int>(dims.size()) > shape.rank();
    const int64_t of_group = grouped ? dims[1] : 1;
    const auto indices = [&](int d) {
      std::vector<int64_t> all;
      const bool cut = d == range.axis;
      const int64_t begin = cut ? range.first : 0;
      const int64_t end = cut ? range.first + range.count : shape[d];
      for (int64_t x = begin; x < end; ++x) all.push_back(x);
      return all;
    };
    for (int64_t x : indices(0)) {
      const int64_t in_group = grouped ? address_of(desc, 1, x % of_group) : 0;
      output.push_back(static_cast<int32_t>(address_of(desc, 0, x / of_group) + in_group));
    }
    row = {0};
    for (int d = 1; d < shape.rank(); ++d) {
      std::vector<int32_t> next;
      for (int32_t so_far : row) {
        for (int64_t x : indices(d)) {
          next.push_back(so_far + static_cast<int32_t>(address_of(desc, grouped ? d + 1 : d, x)));
        }
      }
      row = std::move(next);
    }
  }
};

void copy(const float* src, const Addresses& from, float* dst, const Addresses& to) {
  const auto outputs = static_cast<int64_t>(to.output.size());
  parallel_for(outputs, grain_of(static_cast<int64_t>(to.row.size())),
               [&](int64_t begin, int64_t end) {
                 for (int64_t o = begin; o < end; ++o) {
                   const float* in = src + from.output[static_cast<size_t>(o)];
                   float* out = dst + to.output[static_cast<size_t>(o)];
                   for (size_t k = 0; k < to.row.size(); ++k) out[to.row[k]] = in[from.row[k]];
                 }
               });
}

class ChannelsOfWeight : public Kernel {
 public:
  // `padded`: elements of the channels in memory; 0: they are written into the weight.
  ChannelsOfWeight(Addresses from, Addresses to, int64_t padded)
      : from_(std::move(from)), to_(std::move(to)), padded_(padded) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const auto* src = static_cast<const float*>(b.inputs[0]);
    auto* dst = static_cast<float*>(b.outputs[0]);
    return bound([this, src, dst] {
      // What pads a block has to be zero.
      if (padded_ > 0) std::memset(dst, 0, static_cast<size_t>(padded_) * sizeof(float));
      copy(src, from_, dst, to_);
    });
  }

 private:
  Addresses from_, to_;
  int64_t padded_;
};

ChannelRange range_of(const Attributes& a) {
  const int64_t begin = a.integer("begin");
  return {static_cast<int>(a.integer("axis")), begin, a.integer("end") - begin};
}

std::optional<KernelChoice> choose_channels(const Context& c, const Shape& weights,
                                            const Layout& whole, const Shape& channels,
                                            const Layout& wanted, bool reads) {
  if (!whole.decided()) return std::nullopt;  // no kernel that reads the weight has a wish
  const Layout part = wanted.decided() ? wanted : plain_layout(channels);
  const Desc whole_desc = c.formats.desc_of(weights, ElementType::f32, whole);
  const Desc part_desc = c.formats.desc_of(channels, ElementType::f32, part);
  ensure(has_addresses(whole_desc) && has_addresses(part_desc),
         "channels of a weight that lies as ", whole.tag, " cannot be had as ", part.tag);
  const ChannelRange range = range_of(c.node.attributes);
  Addresses in_whole(weights, whole_desc, range);
  Addresses in_part(channels, part_desc, {range.axis, 0, range.count});
  KernelChoice choice = plain_choice(c);
  choice.implementation = "channels";
  if (reads) {
    choice.inputs[0] = whole;
    choice.outputs[0] = part;
    choice.kernel =
        std::make_shared<ChannelsOfWeight>(std::move(in_whole), std::move(in_part), part.elements);
  } else {
    choice.inputs = {part, whole};
    choice.outputs[0] = whole;
    choice.kernel = std::make_shared<ChannelsOfWeight>(std::move(in_part), std::move(in_whole), 0);
  }
  return choice;
}

std::optional<KernelChoice> choose_read(const Context& c) {
  return choose_channels(c, c.in(0), c.layout(0), c.out(0), c.wish(0), true);
}

std::optional<KernelChoice> choose_write(const Context& c) {
  return choose_channels(c, c.in(1), c.layout(1), c.in(0), c.layout(0), false);
}

}  // namespace

void define_fast_write_channels(Choosers& choosers) {
  choosers["read_channels"] = choose_read;
  choosers["write_channels"] = choose_write;
}

}  // namespace thimble::onednn
