#include <algorithm>
#include <array>

#include "backends/onednn/normalisation.h"
#include "base/parallel.h"

// Our own kernels: one pass for the sums and one for the result, with the addition and the
// activation on the way. oneDNN's takes one pass more and cannot add.

namespace thimble::onednn {
namespace {

// Channel blocks are independent. When they do not divide well among the threads, each block's
// lines are split too. Channels last, a line's blocks are neighbours in memory: lines are split.
int64_t parts_of(const vector::View& v) {
  const int64_t threads = thread_count();
  const bool few = !v.padded || (v.blocks < 8 * threads && v.blocks % threads != 0);
  return few && v.images * v.pixels >= 64 * threads ? threads : 1;
}

int64_t scratch_for(const vector::View& v) {
  return v.blocks * parts_of(v) * static_cast<int64_t>(sizeof(vector::Sums));
}

// The activations that a pass reads; null where absent.
template <class S>
using Read = std::array<const S*, 5>;

// Channels last: a block's lines lie far apart, so that the processor does not see what is read
// next. While one piece of all blocks' lines is worked on, the next one is fetched.
template <class S, class Body>
void for_pieces(const vector::View& v, const Read<S>& read, int64_t first, int64_t last,
                const Body& body) {
  constexpr int64_t kElements = 16384;
  constexpr int64_t kCacheLine = 64 / int64_t{sizeof(S)};
  const int64_t step = std::max<int64_t>(16, kElements / v.channels);
  for (int64_t line = first; line < last; line += step) {
    const int64_t end = std::min(line + step, last);
    const int64_t ahead = std::min(end + step, last) - end;
    for (int64_t block = 0; block < v.blocks; ++block) {
      const int64_t from = (end + ahead * block / v.blocks) * v.channels;
      const int64_t to = (end + ahead * (block + 1) / v.blocks) * v.channels;
      for (const S* data : read) {
        for (int64_t i = from; data != nullptr && i < to; i += kCacheLine) {
          __builtin_prefetch(data + i, 0, 2);
        }
      }
      body(block, line, end);
    }
  }
}

// Calls body(block, part, first line, last line), in parallel.
template <class S, class Body>
void for_parts(const vector::View& v, int64_t parts, const Read<S>& read, const Body& body) {
  const int64_t lines = v.images * v.pixels;
  if (!v.padded) {
    const int64_t per_part = lines * v.channels / parts + 1;
    parallel_for(parts, kParallelGrain / per_part + 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        for_pieces(
            v, read, lines * part / parts, lines * (part + 1) / parts,
            [&](int64_t block, int64_t first, int64_t last) { body(block, part, first, last); });
      }
    });
    return;
  }
  const int64_t per_item = lines * vector::lanes() / parts + 1;
  parallel_for(v.blocks * parts, kParallelGrain / per_item + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i / v.blocks;  // neighbours in memory go to one thread
      body(i % v.blocks, part, lines * part / parts, lines * (part + 1) / parts);
    }
  });
}

template <class S>
class NormForwardKernel : public Kernel {
 public:
  using Args = vector::NormForward<S>;

  // `replay`: the statistics are inputs.
  explicit NormForwardKernel(const Args& args, bool replay = false)
      : args_(args), parts_(parts_of(args.view)), replay_(replay) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    Args args = args_;
    const auto in = [&](size_t i) { return static_cast<float*>(b.inputs[i]); };
    const auto out = [&](size_t i) { return static_cast<float*>(b.outputs[i]); };
    args.src = static_cast<S*>(b.inputs[0]);
    args.addend = static_cast<S*>(b.inputs[1]);
    args.gamma = in(2);
    args.beta = in(3);
    args.dst = static_cast<S*>(b.outputs[0]);
    if (replay_) {
      args.mean = in(4);
      args.inv_std = in(5);
      return bound([args, parts = parts_] { apply(args, parts); });
    }
    args.running_mean = in(4);
    args.running_var = in(5);
    args.mean = out(1);
    args.inv_std = out(2);
    args.mask = static_cast<uint8_t*>(b.outputs[3]);
    return bound([args, parts = parts_, sums = static_cast<vector::Sums*>(b.scratch)] {
      run(args, parts, sums);
    });
  }

 private:
  static void run(const Args& args, int64_t parts, vector::Sums* sums) {
    const auto& k = vector::kernels().of<S>();
    const vector::View& v = args.view;
    if (!args.training) {
      apply(args, parts);
      return;
    }
    std::fill_n(sums, v.blocks * parts, vector::Sums{});
    if (parts == 1 && v.padded) {
      // A block's lines stay in the cache between the two passes.
      for_parts<S>(v, 1, {}, [&](int64_t block, int64_t, int64_t first, int64_t last) {
        k.norm_sums(args, block, first, last, sums[block]);
        k.norm_statistics(args, block, &sums[block], 1, v.blocks);
        k.norm_apply(args, block, first, last);
      });
      return;
    }
    for_parts<S>(v, parts, {args.src},
                 [&](int64_t block, int64_t part, int64_t first, int64_t last) {
                   k.norm_sums(args, block, first, last, sums[part * v.blocks + block]);
                 });
    for (int64_t block = 0; block < v.blocks; ++block) {
      k.norm_statistics(args, block, &sums[block], parts, v.blocks);
    }
    apply(args, parts);
  }

  static void apply(const Args& args, int64_t parts) {
    for_parts<S>(args.view, parts, {args.src, args.addend},
                 [&](int64_t block, int64_t, int64_t first, int64_t last) {
                   vector::kernels().of<S>().norm_apply(args, block, first, last);
                 });
  }

  Args args_;  // without addresses
  int64_t parts_;
  bool replay_;
};

template <class S>
class NormBackwardKernel : public Kernel {
 public:
  using Args = vector::NormBackward<S>;

  explicit NormBackwardKernel(const Args& args) : args_(args), parts_(parts_of(args.view)) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const Args args = with_addresses(args_, b);
    return bound([args, parts = parts_, sums = static_cast<vector::Sums*>(b.scratch)] {
      run(args, parts, sums);
    });
  }

 private:
  static void run(const Args& args, int64_t parts, vector::Sums* sums) {
    const auto& k = vector::kernels().of<S>();
    const vector::View& v = args.view;
    const bool apply = args.diff_src != nullptr;
    const bool asked = args.diff_gamma != nullptr || args.diff_beta != nullptr;
    if (!args.training && !asked && args.diff_addend == nullptr) {
      run_apply(args, parts, sums);
      return;
    }
    std::fill_n(sums, v.blocks * parts, vector::Sums{});
    if (parts == 1 && v.padded) {
      for_parts<S>(v, 1, {}, [&](int64_t block, int64_t, int64_t first, int64_t last) {
        k.norm_diff_sums(args, block, first, last, sums[block]);
        k.norm_diff_finish(args, block, &sums[block], 1, v.blocks);
        if (apply) k.norm_diff_apply(args, block, first, last, sums[block]);
      });
      return;
    }
    const Read<S> read = {args.src, args.diff_dst, args.diff_dst_2, args.dst};
    for_parts<S>(v, parts, read, [&](int64_t block, int64_t part, int64_t first, int64_t last) {
      k.norm_diff_sums(args, block, first, last, sums[part * v.blocks + block]);
    });
    for (int64_t block = 0; block < v.blocks; ++block) {
      k.norm_diff_finish(args, block, &sums[block], parts, v.blocks);
    }
    if (apply) run_apply(args, parts, sums);
  }

  static void run_apply(const Args& args, int64_t parts, const vector::Sums* sums) {
    // What the first pass made is all that the second one reads beside src.
    const bool ready = args.diff_addend != nullptr;
    const Read<S> read = ready ? Read<S>{args.src, args.diff_addend}
                               : Read<S>{args.src, args.diff_dst, args.diff_dst_2, args.dst};
    for_parts<S>(args.view, parts, read, [&](int64_t block, int64_t, int64_t first, int64_t last) {
      vector::kernels().of<S>().norm_diff_apply(args, block, first, last, sums[block]);
    });
  }

  Args args_;  // without addresses
  int64_t parts_;
};

template <class S>
class NormInverseKernel : public Kernel {
 public:
  using Args = vector::NormInverse<S>;

  explicit NormInverseKernel(const Args& args) : args_(args), parts_(parts_of(args.view)) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    Args args = args_;
    const auto in = [&](size_t i) { return static_cast<float*>(b.inputs[i]); };
    args.dst = static_cast<S*>(b.inputs[0]);
    args.addend = static_cast<S*>(b.inputs[1]);
    args.gamma = in(2);
    args.beta = in(3);
    args.mean = in(4);
    args.inv_std = in(5);
    args.src = static_cast<S*>(b.outputs[0]);
    // A node that makes no mask has one output.
    args.mask = b.outputs.size() > 1 ? static_cast<uint8_t*>(b.outputs[1]) : nullptr;
    return bound([args, parts = parts_] {
      for_parts<S>(args.view, parts, {args.dst, args.addend},
                   [&](int64_t block, int64_t, int64_t first, int64_t last) {
                     vector::kernels().of<S>().norm_inverse(args, block, first, last);
                   });
    });
  }

 private:
  Args args_;  // without addresses
  int64_t parts_;
};

template <class Args>
Args with_attributes(const Context& c, const vector::View& view) {
  Args args;
  args.view = view;
  args.activation = activation_of(c.node.attributes);
  args.slope = static_cast<float>(c.node.attributes.real("slope"));
  args.training = c.node.attributes.integer("training") != 0;
  args.epsilon = static_cast<float>(c.node.attributes.real("epsilon"));
  args.scale_floor = static_cast<float>(c.node.attributes.real("scale_floor"));
  return args;
}

template <class S>
std::shared_ptr<const Kernel> forward_kernel(const Context& c, const vector::View& view,
                                             bool replay) {
  auto args = with_attributes<vector::NormForward<S>>(c, view);
  args.momentum = static_cast<float>(c.node.attributes.real("momentum"));
  return std::make_shared<NormForwardKernel<S>>(args, replay);
}

template <class S>
std::shared_ptr<const Kernel> backward_kernel(const Context& c, const vector::View& view) {
  return std::make_shared<NormBackwardKernel<S>>(with_attributes<vector::NormBackward<S>>(c, view));
}

bool is_bf16(const Context& c, size_t input = 0) { return c.in_type(input) == ElementType::bf16; }

std::optional<KernelChoice> choose_either(const Context& c, bool replay) {
  const vector::View view = view_of(c, c.in(0));
  KernelChoice choice = forward_choice(c, view);
  const bool training = c.node.attributes.integer("training") != 0;
  choice.scratch_bytes = training && !replay ? scratch_for(view) : 0;
  choice.kernel =
      is_bf16(c) ? forward_kernel<Bf16>(c, view, replay) : forward_kernel<float>(c, view, replay);
  return choice;
}

std::optional<KernelChoice> choose_forward(const Context& c) { return choose_either(c, false); }
std::optional<KernelChoice> choose_replay(const Context& c) { return choose_either(c, true); }

std::optional<KernelChoice> choose_backward(const Context& c) {
  const vector::View view = view_of(c, c.in(1));
  KernelChoice choice = backward_choice(c, view);
  choice.scratch_bytes = scratch_for(view);
  choice.kernel = is_bf16(c, 1) ? backward_kernel<Bf16>(c, view) : backward_kernel<float>(c, view);
  return choice;
}

std::optional<KernelChoice> choose_inverse(const Context& c) {
  const vector::View view = view_of(c, c.in(0));
  KernelChoice choice = forward_choice(c, view, 1);
  if (is_bf16(c)) {
    choice.kernel = std::make_shared<NormInverseKernel<Bf16>>(
        with_attributes<vector::NormInverse<Bf16>>(c, view));
  } else {
    choice.kernel = std::make_shared<NormInverseKernel<float>>(
        with_attributes<vector::NormInverse<float>>(c, view));
  }
  return choice;
}

}  // namespace

void define_fast_batch_norm(Choosers& choosers) {
  choosers["batch_norm"] = choose_forward;
  choosers["batch_norm_replay"] = choose_replay;
  choosers["batch_norm_inverse"] = choose_inverse;
  choosers["batch_norm_backward"] = choose_backward;
}

}  // namespace thimble::onednn
