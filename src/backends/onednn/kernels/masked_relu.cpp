#include "backends/onednn/normalisation.h"
#include "backends/onednn/onednn.h"
#include "base/parallel.h"
#include "ops/core/sums.h"

// The last pass of a frozen norm that changes nothing: scale 1 and shift 0, to the bit.

namespace thimble::onednn {
namespace {

// Calls body(block, first line, last line), in pieces that stay in the cache.
template <class Body>
void for_pieces(const vector::View& v, const Body& body) {
  const int64_t lines = v.images * v.pixels;
  constexpr int64_t kLines = 64;
  const int64_t pieces = (lines + kLines - 1) / kLines;
  parallel_for(pieces, grain_of(kLines * v.channels), [&](int64_t begin, int64_t end) {
    for (int64_t block = 0; block < v.blocks; ++block) {
      body(block, begin * kLines, std::min(end * kLines, lines));
    }
  });
}

// By channel, of a norm that changes nothing.
struct Nothing {
  explicit Nothing(int64_t channels)
      : ones(static_cast<size_t>(channels), 1.0f), zeros(static_cast<size_t>(channels), 0.0f) {}
  std::vector<float> ones, zeros;
};

class ForwardKernel : public Kernel {
 public:
  ForwardKernel(const vector::View& view, vector::Activation activation) : nothing_(view.channels) {
    args_.view = view;
    args_.activation = activation;
    args_.training = false;
    args_.gamma = nothing_.ones.data();
    args_.beta = nothing_.zeros.data();
    args_.running_mean = nothing_.zeros.data();
    args_.running_var = nothing_.ones.data();
  }
  ForwardKernel(const ForwardKernel&) = delete;
  ForwardKernel& operator=(const ForwardKernel&) = delete;

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    vector::NormForward<float> args = args_;
    args.src = static_cast<const float*>(b.inputs[0]);
    args.dst = static_cast<float*>(b.outputs[0]);
    args.mask = static_cast<uint8_t*>(b.outputs[1]);
    return bound([args] {
      for_pieces(args.view, [&](int64_t block, int64_t first, int64_t last) {
        vector::kernels().f32.norm_apply(args, block, first, last);
      });
    });
  }

 private:
  Nothing nothing_;
  vector::NormForward<float> args_;  // without addresses of tensors
};

class BackwardKernel : public Kernel {
 public:
  explicit BackwardKernel(const vector::View& view) : nothing_(view.channels) {
    args_.view = view;
    args_.activation = vector::Activation::relu;  // the mask knows of the six
    args_.training = false;
    args_.gamma = nothing_.ones.data();
    args_.beta = nothing_.zeros.data();
    args_.mean = nothing_.zeros.data();
    args_.inv_std = nothing_.ones.data();
  }
  BackwardKernel(const BackwardKernel&) = delete;
  BackwardKernel& operator=(const BackwardKernel&) = delete;

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    vector::NormBackward<float> args = args_;
    args.mask = static_cast<const uint8_t*>(b.inputs[0]);
    args.diff_dst = static_cast<const float*>(b.inputs[1]);
    args.src = args.diff_dst;  // read, but for nothing
    args.diff_src = static_cast<float*>(b.outputs[0]);
    return bound([args] {
      for_pieces(args.view, [&](int64_t block, int64_t first, int64_t last) {
        vector::kernels().f32.norm_diff_apply(args, block, first, last, {});
      });
    });
  }

 private:
  Nothing nothing_;
  vector::NormBackward<float> args_;  // without addresses of tensors
};

std::optional<KernelChoice> choose_forward(const Context& c) {
  if (c.in_type(0) != ElementType::f32 || c.in(0).rank() != 4) return std::nullopt;
  const vector::View view = view_of(c, c.in(0));
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = choice.outputs[0] = normalised_layout(c, c.in(0));
  if (c.makes(1)) choice.outputs[1] = mask_layout(view);
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<ForwardKernel>(view, activation_of(c.node.attributes));
  return choice;
}

// Whoever made the mask reads it.
std::optional<KernelChoice> choose_backward(const Context& c) {
  if (c.in_type(1) != ElementType::f32 || c.in(1).rank() != 4) return std::nullopt;
  const vector::View view = view_of(c, c.in(1));
  if (c.layout(0) != mask_layout(view)) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = c.layout(0);
  choice.inputs[1] = choice.outputs[0] = normalised_layout(c, c.in(1));
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<BackwardKernel>(view);
  return choice;
}

}  // namespace

void define_fast_masked_relu(Choosers& choosers) {
  choosers["masked_relu"] = choose_forward;
  choosers["masked_relu_backward"] = choose_backward;
}

}  // namespace thimble::onednn
