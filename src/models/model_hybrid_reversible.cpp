#include "models/reversible.h"

// Reversible blocks whose branches are made of invertible layers (arXiv 1910.11127, section 4.2).
// What comes into a block is had again by its coupling, with hardly an error; what its layers made,
// from their own outputs while gradients pass. Streams and branches are halves of halves: the four
// quarters of the channels are tensors of their own throughout, nothing is joined or cut.

namespace thimble {
namespace {

struct Quarters {
  Streams first;
  Streams second;
};

class Builder {
 public:
  explicit Builder(const ModelOptions& o)
      : o_(o),
        b_("hybrid_reversible"),
        depth_(static_cast<int64_t>(number_of(o, "depth"))),
        layers_(static_cast<int64_t>(number_of(o, "layers"))),
        slope_(invertible_slope(o)),
        fixed_point_(o.variants.at("coupling") == "fixed_point") {}

  Graph run() {
    Quarters x = stem();
    for (int64_t i = 0; i < depth_; ++i) {
      const std::string name = str_cat("block", i + 1);
      for_each(x, [&](TensorId quarter, const char* number) {
        return pooled_before(b_, o_, name + ".pool" + number, quarter, i, depth_);
      });
      x.first = sum(name + ".f", x.first, branch(name + ".f", x.second));
      x.second = sum(name + ".g", x.second, branch(name + ".g", x.first));
    }
    for_each(x, [&](TensorId quarter, const char* number) {
      const std::string name = str_cat("head", number);
      return joined_examples(b_, o_, name + ".join",
                             norm_act(b_, o_, name + ".norm", quarter, "relu"));
    });
    classify_streams(b_, o_, {x.first.first, x.first.second, x.second.first, x.second.second});
    return b_.graph();
  }

 private:
  template <class Use>
  static void for_each(Quarters& x, const Use& use) {
    x.first.first = use(x.first.first, "1");
    x.first.second = use(x.first.second, "2");
    x.second.first = use(x.second.first, "3");
    x.second.second = use(x.second.second, "4");
  }

  Quarters stem() {
    const TensorId images = input_images(b_, o_);
    const int64_t quarter = scaled(32, o_.width) / 4;
    Quarters x;
    for_each(x, [&](TensorId, const char* number) {
      const std::string name = str_cat("stem", number);
      const TensorId stem = invertible_stem(b_, o_, name, images, quarter, slope_);
      return fixed_point_ ? b_.layer("fixed_point", name + ".round", {stem}) : stem;
    });
    return x;
  }

  Streams branch(const std::string& name, Streams x) {
    for (int64_t i = 0; i < layers_; ++i) {
      x = invertible_layer(b_, o_, str_cat(name, ".layer", i + 1), x, slope_);
    }
    return x;
  }

  Streams sum(const std::string& name, Streams x, Streams branch) {
    const char* op = fixed_point_ ? "fixed_point_add" : "add";
    return {b_.layer(op, name + ".sum1", {x.first, branch.first}),
            b_.layer(op, name + ".sum2", {x.second, branch.second})};
  }

  const ModelOptions& o_;
  GraphBuilder b_;
  int64_t depth_, layers_;
  double slope_;
  bool fixed_point_;
};

Graph build(const ModelOptions& o) { return Builder(o).run(); }

}  // namespace

const Model& model_hybrid_reversible() {
  static const Model model = {
      "hybrid_reversible",
      "reversible blocks of invertible layers: bytes do not grow with depth, and errors hardly",
      {3, 32, 32, 10, 128},
      4,
      {{"depth", "6", {}, "reversible blocks, of two branches each", 256},
       {"layers", "1", {}, "invertible layers in a branch, of two convolutions each", 16},
       kSlopeVariant,
       kPoolsVariant,
       {"coupling",
        "add",
        {"add", "fixed_point"},
        "how branches are added: in floating point, or on a grid, which is undone to the bit"}},
      build};
  return model;
}

}  // namespace thimble
