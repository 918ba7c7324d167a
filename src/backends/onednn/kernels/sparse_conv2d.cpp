#include "backends/onednn/normalisation.h"
#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"
#include "ops/core/drop_grow.h"

// Pointwise convolutions on the active blocks of a sparse weight (ops/sparse_conv2d.cpp), in the
// graph's own layout of maps.

namespace thimble::onednn {
namespace {

enum class Pass { forward, data, weights, candidates };

class SparseConvKernel : public Kernel {
 public:
  SparseConvKernel(Pass pass, const vector::View& src, const vector::View& dst, int64_t active,
                   const Attributes& a)
      : pass_(pass), active_(active), shape_(sparse_shape(a)), attributes_(a) {
    args_.src_view = src;
    args_.dst_view = dst;
    args_.blocks = shape_.outputs / shape_.block;
    args_.src_lines = src.blocks;
  }

  // Of the tables by unit, and of what each thread works in.
  int64_t scratch_bytes() const {
    return table_bytes() + threads_ * data_bytes() +
           (pass_ == Pass::candidates ? most_replaced(attributes_, active_) * 4 : 0);
  }

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    vector::SparseConv args = args_;
    const auto in = [&](size_t i) { return static_cast<float*>(b.inputs[i]); };
    const auto index = [&](size_t i) { return static_cast<const uint8_t*>(b.inputs[i]); };
    auto* out = static_cast<float*>(b.outputs[0]);
    auto* scratch = static_cast<std::byte*>(b.scratch);
    switch (pass_) {
      case Pass::forward:
        args.src = in(0);
        args.values = in(1);
        args.dst = out;
        return bound([this, args, active = index(2), scratch] { forward(args, active, scratch); });
      case Pass::data:
        args.values = in(0);
        args.dst = in(2);
        args.diff_src = out;
        return bound([this, args, active = index(1), scratch] { data(args, active, scratch); });
      case Pass::weights:
        args.src = in(0);
        args.dst = in(1);
        args.diff_values = out;
        return bound([this, args, active = index(2), scratch] { weights(args, active, scratch); });
      case Pass::candidates:
        break;
    }
    args.src = in(0);
    args.dst = in(1);
    return bound([this, args, active = index(2), scratch,
                  counter = static_cast<const int32_t*>(b.inputs[3]),
                  units = static_cast<int32_t*>(b.outputs[0])] {
      candidates(args, active, counter, reinterpret_cast<float*>(scratch), units);
    });
  }

 private:
  int64_t table_bytes() const {
    if (pass_ == Pass::candidates) return 0;
    return (args_.blocks + 1 + 2 * active_ + 15) / 16 * 16 * int64_t{sizeof(int32_t)};
  }
  int64_t data_bytes() const {
    if (pass_ != Pass::data) return 0;
    return vector::kernels().sparse.data_scratch(args_) * int64_t{sizeof(float)};
  }

  int64_t offset_of(int64_t channel) const {
    const int64_t lanes = vector::lanes();
    return channel / lanes * args_.src_view.block_stride + channel % lanes;
  }

  // The index, by block of outputs.
  void read_index(vector::SparseConv& args, const uint8_t* active, std::byte* scratch) const {
    auto* begin_of = reinterpret_cast<int32_t*>(scratch);
    int32_t* channel = begin_of + args_.blocks + 1;
    int32_t* offset = channel + active_;
    int64_t block = 0;
    begin_of[0] = 0;
    SparseIndex(active, shape_, active_).each([&](int64_t i, int64_t unit) {
      while (unit >= (block + 1) * shape_.row) begin_of[++block] = static_cast<int32_t>(i);
      channel[i] = static_cast<int32_t>(unit - block * shape_.row);
      offset[i] = static_cast<int32_t>(offset_of(channel[i]));
    });
    while (block < args_.blocks) begin_of[++block] = static_cast<int32_t>(active_);
    args.begin_of = begin_of;
    args.channel = channel;
    args.offset = offset;
  }

  int64_t tasks(int64_t pixels) const {
    return args_.src_view.images * ((args_.src_view.pixels + pixels - 1) / pixels);
  }

  void forward(vector::SparseConv args, const uint8_t* active, std::byte* scratch) const {
    read_index(args, active, scratch);
    const auto& kernels = vector::kernels().sparse;
    parallel_for(tasks(kernels.forward_pixels), 1,
                 [&](int64_t begin, int64_t end) { kernels.forward(args, begin, end); });
  }

  void data(vector::SparseConv args, const uint8_t* active, std::byte* scratch) const {
    read_index(args, active, scratch);
    const auto& kernels = vector::kernels().sparse;
    const int64_t count = tasks(kernels.data_pixels);
    parallel_for(threads_, 1, [&](int64_t first, int64_t last) {
      for (int64_t t = first; t < last; ++t) {
        auto* own = reinterpret_cast<float*>(scratch + table_bytes() + t * data_bytes());
        kernels.backward_data(args, own, count * t / threads_, count * (t + 1) / threads_);
      }
    });
  }

  void weights(vector::SparseConv args, const uint8_t* active, std::byte* scratch) const {
    read_index(args, active, scratch);
    parallel_for(args_.blocks, 1, [&](int64_t begin, int64_t end) {
      vector::kernels().sparse.backward_weights(args, begin, end);
    });
  }

  void candidates(const vector::SparseConv& args, const uint8_t* active, const int32_t* counter,
                  float* scores, int32_t* units) const {
    const int64_t count = replaced_in(attributes_, active_, counter[0]);
    if (count == 0) return;
    float gradient[16] = {};
    const SparseIndex index(active, shape_, active_);
    find_candidates(shape_, index, count, scores, units, [&](int64_t unit, int64_t k) {
      if (k == 0) {
        vector::kernels().sparse.unit_gradient(args, unit / shape_.row,
                                               offset_of(unit % shape_.row), gradient);
      }
      return gradient[k];
    });
  }

  Pass pass_;
  int64_t active_;
  SparseShape shape_;
  Attributes attributes_;
  int64_t threads_ = thread_count();
  vector::SparseConv args_;
};

// `src` and `dst`: shapes of the maps. `maps_in`: which inputs are maps.
std::optional<KernelChoice> choose(const Context& c, Pass pass, const Shape& src, const Shape& dst,
                                   int64_t values, const std::vector<size_t>& maps_in) {
  for (size_t i : maps_in) {
    if (c.in_type(i) != ElementType::f32) return std::nullopt;
  }
  KernelChoice choice = plain_choice(c);
  for (size_t i : maps_in) choice.inputs[i] = c.formats.map_layout(c.in(i));
  const bool makes_map = pass == Pass::forward || pass == Pass::data;
  if (makes_map) choice.outputs[0] = c.formats.map_layout(c.out(0));
  auto kernel = std::make_shared<SparseConvKernel>(pass, view_of(c, src), view_of(c, dst),
                                                   values / 16, c.node.attributes);
  choice.scratch_bytes = kernel->scratch_bytes();
  choice.implementation = vector::kernels().name;
  choice.kernel = std::move(kernel);
  return choice;
}

}  // namespace

void define_fast_sparse_conv2d(Choosers& choosers) {
  choosers["sparse_conv2d"] = [](const Context& c) {
    return choose(c, Pass::forward, c.in(0), c.out(0), c.in(1).elements(), {0});
  };
  choosers["sparse_conv2d_backward_data"] = [](const Context& c) {
    return choose(c, Pass::data, c.out(0), c.in(2), c.in(0).elements(), {2});
  };
  choosers["sparse_conv2d_backward_weights"] = [](const Context& c) {
    return choose(c, Pass::weights, c.in(0), c.in(1), c.out(0).elements(), {0, 1});
  };
  choosers["sparse_conv2d_candidates"] = [](const Context& c) {
    return choose(c, Pass::candidates, c.in(0), c.in(1), c.node.attributes.integer("values"),
                  {0, 1});
  };
}

}  // namespace thimble::onednn
