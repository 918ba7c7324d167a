#include <cmath>

#include "ops/core/gradient.h"
#include "ops/core/sums.h"

// N batch; K classes.
// logits, probabilities (N, K); labels (N): other values than 0..K-1 leave the sample out;
// class_weights (K): what a sample of each class counts.
//
// With weights too, the sum of the losses is divided by the number of samples, not by the sum of
// their weights as PyTorch does: parts of a batch then add up to the whole, whatever is in each.

namespace thimble {
namespace {

bool counted(int32_t label, int64_t classes) { return label >= 0 && label < classes; }

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const int64_t batch = call.in_shape(0)[0];
    const int64_t classes = call.in_shape(0)[1];
    const T* logits = call.in<T>(0);
    const int32_t* labels = call.in<int32_t>(1);
    const double smoothing = call.attributes.real("label_smoothing");
    const T* weights = call.has_input(2) ? call.in<T>(2) : nullptr;
    T* probabilities = call.out<T>(2);
    T* losses = static_cast<T*>(call.scratch);  // (N)
    T* hits = losses + batch;                   // (N)
    parallel_for(batch, grain_of(8 * classes), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        row(logits + n * classes, labels[n], classes, smoothing,
            probabilities != nullptr ? probabilities + n * classes : nullptr, losses[n], hits[n]);
        if (weights != nullptr && counted(labels[n], classes)) losses[n] *= weights[labels[n]];
      }
    });
    int64_t count = 0;
    for (int64_t n = 0; n < batch; ++n) count += counted(labels[n], classes);
    const T divisor = T(static_cast<double>(count > 0 ? count : 1));
    if (call.has_output(0)) call.out<T>(0)[0] = sum(losses, batch) / divisor;
    if (call.has_output(1)) call.out<T>(1)[0] = sum(hits, batch);
  }

  // `probabilities` may be `logits`: a logit is read before its probability is written.
  template <class T>
  static void row(const T* logits, int32_t label, int64_t classes, double smoothing,
                  T* probabilities, T& loss, T& hit) {
    int64_t best = 0;
    for (int64_t k = 1; k < classes; ++k) {
      if (branch_value(logits[k]) > branch_value(logits[best])) best = k;
    }
    const bool valid = counted(label, classes);
    const T max = logits[best];
    const T target = valid ? logits[label] - max : T(0);
    T shifted_sum(0);
    T exp_sum(0);
    for (int64_t k = 0; k < classes; ++k) {
      const T shifted = logits[k] - max;
      const T power = std::exp(shifted);
      shifted_sum += shifted;
      exp_sum += power;
      if (probabilities != nullptr) probabilities[k] = power;
    }
    for (int64_t k = 0; probabilities != nullptr && k < classes; ++k) probabilities[k] /= exp_sum;
    // -log p[k] = log_sum - shifted[k]; smoothing mixes the label's with the mean over classes.
    const T log_sum = std::log(exp_sum);
    const T mean = shifted_sum / T(static_cast<double>(classes));
    loss = valid ? log_sum - T(1 - smoothing) * target - T(smoothing) * mean : T(0);
    hit = best == label ? T(1) : T(0);
  }
};

struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    const int64_t batch = call.in_shape(0)[0];
    const int64_t classes = call.in_shape(0)[1];
    const T* probabilities = call.in<T>(0);
    const int32_t* labels = call.in<int32_t>(1);
    const double smoothing = call.attributes.real("label_smoothing");
    T* diff_logits = call.out<T>(0);
    int64_t count = 0;
    for (int64_t n = 0; n < batch; ++n) count += counted(labels[n], classes);
    const T diff_loss = call.has_input(2) ? call.in<T>(2)[0] : T(1);
    const T scale = diff_loss / T(static_cast<double>(count > 0 ? count : 1));
    const T* weights = call.has_input(3) ? call.in<T>(3) : nullptr;
    const T everywhere = T(smoothing / static_cast<double>(classes));
    parallel_for(batch, grain_of(classes), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const T* p = probabilities + n * classes;
        T* diff = diff_logits + n * classes;
        const bool valid = counted(labels[n], classes);
        const T share = valid && weights != nullptr ? scale * weights[labels[n]] : scale;
        for (int64_t k = 0; k < classes; ++k) {
          diff[k] = valid ? (p[k] - everywhere) * share : T(0);
        }
        if (valid) diff[labels[n]] -= T(1 - smoothing) * share;
      }
    });
  }
};

void check_shapes(const char* op, const OpShapes& s, const char* first, size_t weights) {
  const double smoothing = s.attributes.real("label_smoothing");
  require(s.inputs[0].rank() == 2, op, ": ", first, " must be (N, K), got ", s.inputs[0]);
  require(s.inputs[1] == Shape{s.inputs[0][0]}, op, ": ", first, ' ', s.inputs[0],
          " need labels of shape (", s.inputs[0][0], "), got ", s.inputs[1]);
  require(smoothing >= 0 && smoothing <= 1, op, ": label_smoothing must be in [0, 1], got ",
          smoothing);
  require(!s.has(weights) || s.inputs[weights] == Shape{s.inputs[0][1]}, op, ": ", first, ' ',
          s.inputs[0], " need class weights of shape (", s.inputs[0][1], "), got ",
          s.shape(weights));
}

std::vector<AttributeSpec> attribute_specs() {
  return {{"label_smoothing", 0.0, "share of the target spread over all classes (1512.00567)"}};
}

}  // namespace

void define_softmax_cross_entropy(OpTable& table) {
  OpDef forward;
  forward.name = "softmax_cross_entropy";
  forward.summary = "mean cross-entropy of softmax(logits) against labels, and correct answers";
  forward.attributes = attribute_specs();
  forward.inputs = {{"logits"}, {"labels"}, {"class_weights", true}};
  forward.outputs = {{"loss"}, {"correct"}, {"probabilities"}};
  forward.infer = [](const OpShapes& s) {
    check_shapes("softmax_cross_entropy", s, "logits", 2);
    constexpr auto kFull = ElementType::f32;
    return std::vector<TensorSpec>{{{1}, kFull}, {{1}, kFull}, {s.inputs[0], kFull}};
  };
  // The number of correct answers is piecewise constant; the probabilities are for reading only.
  forward.gradient = [](GradientBuilder& g) {
    require(g.diff_output_parts(2).empty(), "softmax_cross_entropy (layer ", g.layer(),
            "): the output 'probabilities' has no gradient; train through 'loss'");
    std::vector<TensorId> inputs = {g.output(2), g.input(1), g.diff_output(0)};
    if (g.has_input(2)) inputs.push_back(g.input(2));
    g.set_diff_input(
        0, g.emit("softmax_cross_entropy_backward", std::move(inputs), g.attributes())[0]);
  };
  forward.saves = [](const OpShapes& s) { return s.has(2) ? Saves{{1, 2}, {2}} : Saves{{1}, {2}}; };
  forward.in_place = {{0, 2}};
  forward.flops = [](const OpShapes& s) { return 8 * s.inputs[0].elements(); };
  forward.scratch_scalars = [](const OpShapes& s) { return 2 * s.inputs[0][0]; };
  forward.kernels = portable_kernels<Forward>();
  table.add(forward);

  OpDef backward;
  backward.name = "softmax_cross_entropy_backward";
  backward.summary = "gradient of softmax_cross_entropy: probabilities minus targets";
  backward.attributes = attribute_specs();
  backward.inputs = {{"probabilities"}, {"labels"}, {"diff_loss", true}, {"class_weights", true}};
  backward.outputs = {{"diff_logits"}};
  backward.infer = [](const OpShapes& s) {
    check_shapes("softmax_cross_entropy_backward", s, "probabilities", 3);
    return std::vector<TensorSpec>{{s.inputs[0]}};
  };
  backward.in_place = {{0, 0}};
  backward.flops = [](const OpShapes& s) { return 2 * s.inputs[0].elements(); };
  backward.kernels = portable_kernels<Backward>();
  table.add(backward);
}

}  // namespace thimble
