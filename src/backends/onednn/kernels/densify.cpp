#include <cstring>

#include "backends/onednn/addresses.h"
#include "backends/onednn/onednn.h"
#include "ops/core/drop_grow.h"

// Sparse weights (ops/densify.cpp, ops/drop_grow.cpp) on the blocked layouts of oneDNN's weights,
// so that no dense copy is moved. In such a layout a position's address is the sum of what each of
// its indices adds.

namespace thimble::onednn {
namespace {

// Addresses of the positions of a dense weight, in elements.
class Positions {
 public:
  Positions(const SparseShape& shape, const Shape& dense, const Desc& desc) : shape_(shape) {
    std::vector<std::vector<int64_t>> adds(static_cast<size_t>(dense.rank()));
    for (int d = 0; d < dense.rank(); ++d) {
      for (int64_t x = 0; x < dense[d]; ++x) {
        adds[static_cast<size_t>(d)].push_back(address_of(desc, d, x));
      }
    }
    const auto of_output = adds[0];
    output_.assign(of_output.begin(), of_output.end());
    row_ = {0};
    for (size_t d = 1; d < adds.size(); ++d) {
      std::vector<int32_t> next;
      for (int32_t so_far : row_) {
        for (int64_t add : adds[d]) next.push_back(so_far + static_cast<int32_t>(add));
      }
      row_ = std::move(next);
    }
    if (shape.taps > 1) {
      const auto as_dense = row_;
      for (size_t place = 0; place < row_.size(); ++place) {
        row_[place] = as_dense[static_cast<size_t>(shape.in_row(static_cast<int64_t>(place)))];
      }
    }
  }

  const SparseShape& shape() const { return shape_; }

  // Calls `body(i, row address, outputs' addresses)` for the active units of a tile.
  template <class Body>
  void each_of_tile(const SparseIndex& index, int64_t tile, const Body& body) const {
    int64_t output = tile * kTileUnits / shape_.row;
    int64_t first = output * shape_.row;  // unit at which this output's row begins
    index.each_of_tile(tile, [&](int64_t i, int64_t unit) {
      while (unit - first >= shape_.row) {
        first += shape_.row;
        ++output;
      }
      body(i, row_[static_cast<size_t>(unit - first)],
           output_.data() + static_cast<size_t>(output * shape_.block));
    });
  }

  int64_t at(int64_t unit, int64_t k) const {
    const int64_t output = unit / shape_.row * shape_.block + k;
    return output_[static_cast<size_t>(output)] + row_[static_cast<size_t>(unit % shape_.row)];
  }

 private:
  SparseShape shape_;
  std::vector<int32_t> output_, row_;  // by output; by a unit's place in its row
};

class DensifyKernel : public Kernel {
 public:
  DensifyKernel(Positions positions, int64_t active, int64_t elements)
      : positions_(std::move(positions)), active_(active), elements_(elements) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const auto* values = static_cast<const float*>(b.inputs[0]);
    const auto* bytes = static_cast<const uint8_t*>(b.inputs[1]);
    auto* dst = static_cast<float*>(b.outputs[0]);
    return bound([this, values, bytes, dst] {
      const int64_t block = positions_.shape().block;
      const SparseIndex index(bytes, positions_.shape(), active_);
      parallel_for(elements_, kParallelGrain, [&](int64_t begin, int64_t end) {
        std::memset(dst + begin, 0, static_cast<size_t>(end - begin) * sizeof(float));
      });
      parallel_for(index.tiles, 1, [&](int64_t begin, int64_t end) {
        for (int64_t tile = begin; tile < end; ++tile) {
          positions_.each_of_tile(index, tile, [&](int64_t i, int32_t row, const int32_t* outputs) {
            for (int64_t k = 0; k < block; ++k) dst[row + outputs[k]] = values[i * block + k];
          });
        }
      });
    });
  }

 private:
  Positions positions_;
  int64_t active_, elements_;
};

class GatherKernel : public Kernel {
 public:
  GatherKernel(Positions positions, int64_t active)
      : positions_(std::move(positions)), active_(active) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const auto* diff = static_cast<const float*>(b.inputs[0]);
    const auto* bytes = static_cast<const uint8_t*>(b.inputs[1]);
    auto* values = static_cast<float*>(b.outputs[0]);
    return bound([this, diff, bytes, values] {
      const int64_t block = positions_.shape().block;
      const SparseIndex index(bytes, positions_.shape(), active_);
      parallel_for(index.tiles, 1, [&](int64_t begin, int64_t end) {
        for (int64_t tile = begin; tile < end; ++tile) {
          positions_.each_of_tile(index, tile, [&](int64_t i, int32_t row, const int32_t* outputs) {
            for (int64_t k = 0; k < block; ++k) values[i * block + k] = diff[row + outputs[k]];
          });
        }
      });
    });
  }

 private:
  Positions positions_;
  int64_t active_;
};

class CandidatesKernel : public Kernel {
 public:
  CandidatesKernel(Positions positions, int64_t active, const Attributes& a)
      : positions_(std::move(positions)), active_(active), attributes_(a) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const auto* diff = static_cast<const float*>(b.inputs[0]);
    const auto* bytes = static_cast<const uint8_t*>(b.inputs[1]);
    const auto* counter = static_cast<const int32_t*>(b.inputs[2]);
    auto* units = static_cast<int32_t*>(b.outputs[0]);
    auto* scores = static_cast<float*>(b.scratch);
    return bound([this, diff, bytes, counter, units, scores] {
      const int64_t count = replaced_in(attributes_, active_, counter[0]);
      if (count == 0) return;
      const SparseIndex index(bytes, positions_.shape(), active_);
      find_candidates(positions_.shape(), index, count, scores, units,
                      [&](int64_t unit, int64_t k) { return diff[positions_.at(unit, k)]; });
    });
  }

 private:
  Positions positions_;
  int64_t active_;
  Attributes attributes_;
};

// Of the dense weight in this layout; nothing for a plain one, which the portable kernels serve.
std::optional<Positions> positions_in(const Context& c, const Layout& layout) {
  if (!layout.decided() || layout.tag == kPlain) return std::nullopt;
  const Shape dense = dense_shape(c.node.attributes);
  const Desc desc = c.formats.desc_of(dense, ElementType::f32, layout);
  const bool blocks = has_addresses(desc) && static_cast<int>(desc.dims().size()) == dense.rank();
  if (!blocks) return std::nullopt;
  return Positions(sparse_shape(c.node.attributes), dense, desc);
}

std::optional<KernelChoice> choose_densify(const Context& c) {
  auto positions = positions_in(c, c.wish(0));
  if (!positions) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.outputs[0] = c.wish(0);
  choice.implementation = "scatter";
  const int64_t active = c.in(0).elements() / positions->shape().block;
  choice.kernel =
      std::make_shared<DensifyKernel>(std::move(*positions), active, c.wish(0).elements);
  return choice;
}

std::optional<KernelChoice> choose_gather(const Context& c) {
  auto positions = positions_in(c, c.layout(0));
  if (!positions) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = c.layout(0);
  choice.implementation = "gather";
  const int64_t active = c.out(0).elements() / positions->shape().block;
  choice.kernel = std::make_shared<GatherKernel>(std::move(*positions), active);
  return choice;
}

std::optional<KernelChoice> choose_candidates(const Context& c) {
  auto positions = positions_in(c, c.layout(0));
  if (!positions) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = c.layout(0);
  choice.implementation = "heap";
  choice.scratch_bytes = scratch_scalars_of(c.graph, c.node) * int64_t{sizeof(float)};
  const int64_t active = c.node.attributes.integer("values") / positions->shape().block;
  choice.kernel =
      std::make_shared<CandidatesKernel>(std::move(*positions), active, c.node.attributes);
  return choice;
}

}  // namespace

void define_fast_densify(Choosers& choosers) {
  choosers["densify"] = choose_densify;
  choosers["gather_active"] = choose_gather;
  choosers["growth_candidates"] = choose_candidates;
}

}  // namespace thimble::onednn
