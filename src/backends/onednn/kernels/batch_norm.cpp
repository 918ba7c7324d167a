#include "backends/onednn/normalisation.h"
#include "base/parallel.h"

// Our own kernels: one pass for the sums and one for the result, with the addition and the
// activation on the way. oneDNN's takes one pass more and cannot add.

namespace thimble::onednn {
namespace {

// Channel blocks are independent. When they do not divide well among the threads, each block's
// lines are split too.
int64_t parts_of(const vector::View& v) {
  const int64_t threads = thread_count();
  const bool few = v.blocks < 8 * threads && v.blocks % threads != 0;
  return few && v.images * v.pixels >= 64 * threads ? threads : 1;
}

int64_t scratch_for(const vector::View& v) {
  return v.blocks * parts_of(v) * static_cast<int64_t>(sizeof(vector::Sums));
}

// Calls body(block, part, first line, last line), in parallel.
template <class Body>
void for_parts(const vector::View& v, int64_t parts, const Body& body) {
  const int64_t lines = v.images * v.pixels;
  const int64_t per_item = lines * vector::lanes() / parts + 1;
  parallel_for(v.blocks * parts, kParallelGrain / per_item + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i / v.blocks;  // neighbours in memory go to one thread
      body(i % v.blocks, part, lines * part / parts, lines * (part + 1) / parts);
    }
  });
}

class NormForwardKernel : public Kernel {
 public:
  // `replay`: the statistics are inputs.
  explicit NormForwardKernel(const vector::NormForward& args, bool replay = false)
      : args_(args), parts_(parts_of(args.view)), replay_(replay) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    vector::NormForward args = args_;
    const auto in = [&](size_t i) { return static_cast<float*>(b.inputs[i]); };
    const auto out = [&](size_t i) { return static_cast<float*>(b.outputs[i]); };
    args.src = in(0);
    args.addend = in(1);
    args.gamma = in(2);
    args.beta = in(3);
    args.dst = out(0);
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
  static void run(const vector::NormForward& args, int64_t parts, vector::Sums* sums) {
    const vector::Kernels& k = vector::kernels();
    const vector::View& v = args.view;
    if (!args.training) {
      apply(args, parts);
      return;
    }
    if (parts == 1) {
      // A block's lines stay in the cache between the two passes.
      for_parts(v, 1, [&](int64_t block, int64_t, int64_t first, int64_t last) {
        k.norm_sums(args, block, first, last, sums[block]);
        k.norm_statistics(args, block, &sums[block], 1, v.blocks);
        k.norm_apply(args, block, first, last);
      });
      return;
    }
    for_parts(v, parts, [&](int64_t block, int64_t part, int64_t first, int64_t last) {
      k.norm_sums(args, block, first, last, sums[part * v.blocks + block]);
    });
    for (int64_t block = 0; block < v.blocks; ++block) {
      k.norm_statistics(args, block, &sums[block], parts, v.blocks);
    }
    apply(args, parts);
  }

  static void apply(const vector::NormForward& args, int64_t parts) {
    for_parts(args.view, parts, [&](int64_t block, int64_t, int64_t first, int64_t last) {
      vector::kernels().norm_apply(args, block, first, last);
    });
  }

  vector::NormForward args_;  // without addresses
  int64_t parts_;
  bool replay_;
};

class NormBackwardKernel : public Kernel {
 public:
  explicit NormBackwardKernel(const vector::NormBackward& args)
      : args_(args), parts_(parts_of(args.view)) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const vector::NormBackward args = with_addresses(args_, b);
    return bound([args, parts = parts_, sums = static_cast<vector::Sums*>(b.scratch)] {
      run(args, parts, sums);
    });
  }

 private:
  static void run(const vector::NormBackward& args, int64_t parts, vector::Sums* sums) {
    const vector::Kernels& k = vector::kernels();
    const vector::View& v = args.view;
    const bool apply = args.diff_src != nullptr;
    if (parts == 1) {
      for_parts(v, 1, [&](int64_t block, int64_t, int64_t first, int64_t last) {
        k.norm_diff_sums(args, block, first, last, sums[block]);
        k.norm_diff_finish(args, block, &sums[block], 1, v.blocks);
        if (apply) k.norm_diff_apply(args, block, first, last, sums[block]);
      });
      return;
    }
    for_parts(v, parts, [&](int64_t block, int64_t part, int64_t first, int64_t last) {
      k.norm_diff_sums(args, block, first, last, sums[part * v.blocks + block]);
    });
    for (int64_t block = 0; block < v.blocks; ++block) {
      k.norm_diff_finish(args, block, &sums[block], parts, v.blocks);
    }
    if (!apply) return;
    for_parts(v, parts, [&](int64_t block, int64_t, int64_t first, int64_t last) {
      k.norm_diff_apply(args, block, first, last, sums[block]);
    });
  }

  vector::NormBackward args_;  // without addresses
  int64_t parts_;
};

KernelChoice choose_either(const Context& c, bool replay) {
  vector::NormForward args;
  args.view = view_of(c, c.in(0));
  args.activation = activation_of(c.node.attributes);
  args.training = c.node.attributes.integer("training") != 0;
  args.epsilon = static_cast<float>(c.node.attributes.real("epsilon"));
  args.momentum = static_cast<float>(c.node.attributes.real("momentum"));
  KernelChoice choice = forward_choice(c, args.view);
  choice.scratch_bytes = args.training && !replay ? scratch_for(args.view) : 0;
  choice.kernel = std::make_shared<NormForwardKernel>(args, replay);
  return choice;
}

std::optional<KernelChoice> choose_forward(const Context& c) { return choose_either(c, false); }
std::optional<KernelChoice> choose_replay(const Context& c) { return choose_either(c, true); }

std::optional<KernelChoice> choose_backward(const Context& c) {
  vector::NormBackward args;
  args.view = view_of(c, c.in(0));
  args.activation = activation_of(c.node.attributes);
  args.training = c.node.attributes.integer("training") != 0;
  args.epsilon = static_cast<float>(c.node.attributes.real("epsilon"));
  KernelChoice choice = backward_choice(c, args.view);
  choice.scratch_bytes = scratch_for(args.view);
  choice.kernel = std::make_shared<NormBackwardKernel>(args);
  return choice;
}

}  // namespace

void define_fast_batch_norm(Choosers& choosers) {
  choosers["batch_norm"] = choose_forward;
  choosers["batch_norm_replay"] = choose_replay;
  choosers["batch_norm_backward"] = choose_backward;
}

}  // namespace thimble::onednn
