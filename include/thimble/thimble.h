#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// thimble trains a neural network inside the memory you have.
//
//   thimble::TrainOptions options;
//   options.model.name = "mobilenet_v1_patch";
//   options.data.path = "fashion-mnist";
//   options.budget_bytes = thimble::mebibytes(96);
//   thimble::TrainReport report = thimble::train(options);
//
// Functions throw std::runtime_error (UserError) for mistakes in what they were given, with a
// message for people. A plan that does not fit is a result, not an error.

namespace thimble {

inline constexpr int64_t mebibytes(double mib) { return static_cast<int64_t>(mib * 1048576.0); }

// Which network. Zero or empty: the model's usual value (or the data set's, for classes).
struct ModelChoice {
  // One of list_models(), or a file: model.thimble (`import_onnx`), or model.onnx.
  std::string name = "mobilenet_v1_patch";
  int64_t batch = 0;     // examples in a step
  int64_t channels = 0;  // of the images
  int64_t height = 0;    // pixels
  int64_t width_px = 0;  // pixels
  int64_t classes = 0;
  double width = 1;            // multiplies the channels of every layer
  std::string norm = "batch";  // batch | frozen | group
  double label_smoothing = 0;
  std::map<std::string, std::string> variants = {};  // a model's own options
  // What is trained: "all", or a list of head, last:K, bias, norm, side and patterns of tensors'
  // names ("block1?.*"), with commas between; with channels behind, "block1?.*[0:8]" or "[1/4]",
  // those of each tensor. The rest is frozen.
  std::string train = "all";
  std::string side = "none";  // beside the model: none | rep-net | rep-net-wide | tinytl
};

// Which examples, and what is done to them on the way.
struct DataChoice {
  std::string path;                // a folder or a known name such as "fashion-mnist"
  bool flip = false;               // random horizontal flip of training images
  int64_t crop_pad = 0;            // random crop after padding by this many pixels
  bool skip_bad = false;           // go on when a file is broken, and count it
  int64_t decode_bytes = 1 << 20;  // memory for decoding one picture
  // How pixels become numbers: a name of list_pixels(). Empty: as the model's file
  // says, or else by the data set's mean and deviation.
  std::string pixels = {};
  double validation = 0;         // share of the training examples kept aside, for `patience`
  std::string balance = "none";  // of classes that are not equally frequent: none | loss | draw
};

// Pictures cut into patches of the model's image size; see `thimble list techniques`. A batch still
// counts pictures, and the model answers with the mean of the logits of a picture's patches.
struct PatchChoice {
  int64_t height = 0;    // pixels; of the pictures; 0: they are not cut
  int64_t width_px = 0;  // pixels
  int64_t step = 0;      // pixels from one patch to the next; 0: a patch's size, no overlap
  std::string loss =
      "each";  // each: every patch has its picture's label | mean: of the mean logits
};

struct OptimizerChoice {
  std::string name = "sgd";  // one of list_optimizers()
  double momentum = 0.9;     // sgd
  bool nesterov = false;     // sgd
  double weight_decay = 0;
  std::map<std::string, std::string> options = {};  // its other settings: {"beta1", "0.95"}
  double learning_rate = 0;                         // 0: usual_learning_rate(name)
  std::string schedule = "cosine";                  // constant | step | cosine
  double warmup_epochs = 0;                         // linear, from 0
  std::vector<int64_t> step_epochs = {};            // step: multiply by step_factor at these epochs
  double step_factor = 0.1;
};

// Sparse training: weights, gradients and momentum of convolutions and linear layers exist only at
// active positions. Another computation than dense training.
struct SparseChoice {
  // Share of the positions that are not active. 0: dense, or what an N:M `format` says.
  double sparsity = 0;
  std::string method = "rigl";       // static | set | rigl | mest: how positions change
  std::string distribution = "erk";  // uniform | erk: how layers share what is active
  // positions | blocks (of 16 neighbouring outputs) | N:M, such as 2:4 (N of each M neighbouring
  // input channels): the same share in each layer, and `sparsity` is 1 - N/M or 0
  std::string format = "positions";
  int64_t every = 100;    // steps between changes
  double until = 0.75;    // share of the training behind which nothing changes
  double drop = 0.3;      // share of the active positions that the first replaces
  double gradient = 1;    // mest: what a gradient counts beside a magnitude
  bool explored = false;  // note which positions were ever active, a bit for each

  bool in_groups() const { return format.find(':') != std::string::npos; }  // N:M
};

struct TrainOptions {
  ModelChoice model;
  SparseChoice sparse;
  PatchChoice patches;
  DataChoice data;
  OptimizerChoice optimizer;
  int64_t epochs = 1;
  // Ends after so many epochs without a better one on the validation part, and keeps the best
  // weights; 0: goes on to the end.
  int64_t patience = 0;
  int64_t budget_bytes = 0;             // of the whole process; 0: no bound
  std::vector<std::string> allow = {};  // approximations that may be used: list_approximations()
  // Techniques that must not be used: names of list_techniques() that the planner chooses.
  std::vector<std::string> without = {};
  // What is had again from later results, by dividing, is predicted to have at least this ratio of
  // signal to noise, in dB, 1 to 140: else something on the way is kept. -1: any.
  int64_t min_snr_db = 100;
  // Tensors may be paged to a file in this folder: the same result, in less memory. It writes to
  // the device in every step. Empty: not.
  std::string offload_folder;
  // What the frozen part in front of all that is trained makes of each training picture is computed
  // once and kept in the run folder, in features.bin; steps read that instead of pictures.
  bool cache_features = false;
  uint64_t seed = 0;
  int threads = 0;               // 0: all cores
  std::string backend = "auto";  // auto, or one of list_backends()
  std::string device_file;       // plan for the speed of another machine; empty: this one's
  std::string run_folder;        // empty: nothing is written
  std::string initial_weights;   // a safetensors file; empty: fresh weights
  bool resume = false;           // continue what is in run_folder
  int64_t checkpoint_every = 0;  // steps; 0: at the end of each epoch
};

inline constexpr std::array<const char*, 7> kCategoryNames = {
    "weights", "optimizer", "gradients", "saved", "temporaries", "scratchpad", "data"};

struct PeakTensor {
  std::string name;
  std::string category;
  int64_t bytes = 0;
};

// One way in which a plan came to its bytes: what it saved and cost beside a plan with only those
// before it. Judged on plain layouts, so about right.
struct TechniqueUse {
  std::string name;
  std::string where;
  int64_t saved_bytes = 0;  // of the arena; below 0: it takes more
  double cost_seconds = 0;  // of a step, predicted; 0 when that is not known
};

// Approximations that were not allowed, and what the plan would be with them.
struct AllowanceTrial {
  std::vector<std::string> names;    // for TrainOptions::allow
  std::vector<std::string> accepts;  // what the user accepts by each
  bool fits = false;
  int64_t process_bytes = 0;  // about: of a plan made after another in one process
  double predicted_step_seconds = 0;
};

// What training would take, known before anything runs. Bytes are of the whole process.
struct PlanReport {
  bool fits = false;
  int64_t budget_bytes = 0;
  int64_t process_bytes = 0;  // fixed + arena
  int64_t fixed_bytes = 0;    // code, libraries, generated kernels, heap
  int64_t arena_bytes = 0;
  int64_t lower_bound_bytes = 0;  // no placement needs a smaller arena
  int64_t smallest_budget_bytes = 0;
  std::array<int64_t, 7> by_category = {};  // live at the peak step, as in kCategoryNames
  int64_t parameters = 0;                   // trained values, were all weights dense
  int64_t active_parameters = 0;            // of these, what exists
  double predicted_step_seconds = 0;        // 0: not known, see `calibrate`
  // Signal to noise in dB of the noisiest tensor that is had again from later results, predicted
  // from the layers between; infinite where none has errors of its own.
  double predicted_snr_db = std::numeric_limits<double>::infinity();
  int64_t paged_bytes = 0;  // of a step: written to offload_folder, and read back
  std::string promise;      // bit_exact | same_math | approximate
  std::vector<std::string> techniques;
  std::string peak_step;
  std::vector<PeakTensor> peak_tensors;    // the largest that are live there
  std::vector<TechniqueUse> uses;          // by `plan` alone
  std::vector<AllowanceTrial> allowances;  // where nothing fits; by `plan` and `train`
};

// One kernel call of a training step.
struct TimelineStep {
  std::string op;
  std::string layer;
  std::string phase;        // prepare | forward | backward | update | finish
  bool runs_again = false;  // makes a forward result once more instead of having kept it
};

struct TimelineTensor {
  std::string name;
  std::vector<int64_t> shape;  // empty: a scalar, or bytes without a shape
  std::string type;            // f32, bf16, i32, u8; empty: bytes
};

// Bytes of the arena during the steps [first_step, last_step). Several tensors when they follow
// each other at the same place.
struct TimelineBlock {
  std::vector<TimelineTensor> tensors;
  std::string category;  // one of kCategoryNames
  int64_t bytes = 0;
  int64_t offset = 0;  // in the arena
  int32_t first_step = 0, last_step = 0;
};

// A plan and the whole of its arena: what lies where, and when.
struct PlanTimeline {
  PlanReport plan;
  TrainOptions options;      // with the usual values filled in
  int64_t microbatches = 1;  // runs of the forward, backward and update steps
  std::vector<TimelineStep> steps;
  std::vector<TimelineBlock> blocks;
  int32_t peak_step = 0;
};

// A way to train that no other beats in both bytes and time.
struct FrontierPoint {
  // True: compiled, and its process measured; false: estimated from the planned points beside it.
  bool planned = false;
  int64_t process_bytes = 0;
  int64_t arena_bytes = 0;
  double predicted_step_seconds = 0;  // of the whole batch
  std::string promise;                // bit_exact | same_math | approximate
  std::vector<std::string> techniques;
};

// How training goes, after each step.
struct Progress {
  int64_t epoch = 0, epochs = 0;  // zero-based
  int64_t step = 0, steps = 0;    // in this epoch, zero-based
  double loss = 0;                // mean over the steps of this epoch so far
  double learning_rate = 0;
  double samples_per_second = 0;
  double seconds_left = 0;
  int64_t resident_bytes = 0;  // of the process, now
  int64_t process_bytes = 0;   // planned
  int64_t budget_bytes = 0;
  // Before the first step, with TrainOptions::cache_features: pictures whose features are in the
  // file, and how many will be. Else 0.
  int64_t cached = 0, to_cache = 0;
  bool epoch_done = false;  // then: test loss and accuracy are there
  bool validation = false;  // they are of the validation part, not of the test split
  double test_loss = 0;
  double test_accuracy = 0;
};

// Of a sparse weight: how much of it has been trained so far (in-time over-parametrization, ITOP,
// arXiv 2102.02887).
struct Exploration {
  std::string weight;     // as its tensor is called in files
  int64_t positions = 0;  // were it dense
  int64_t active = 0;     // now
  int64_t explored = 0;   // active now or earlier
};

struct TrainReport {
  PlanReport plan;
  bool trained = false;        // false: the plan did not fit, or training was interrupted
  bool interrupted = false;    // by should_stop; what was done is in the run folder
  int64_t peak_rss_bytes = 0;  // measured (VmHWM)
  double step_seconds_median = 0;
  double samples_per_second = 0;
  double loss = 0;                    // on the test split
  double accuracy = 0;                // on the test split
  int64_t skipped_examples = 0;       // broken files, with skip_bad
  std::string weights_file;           // the trained model, when there is a run folder
  std::vector<Exploration> explored;  // with SparseChoice::explored
  // With DataChoice::validation, of the weights that were kept; below 0: there is none.
  double validation_loss = -1;
  double validation_accuracy = -1;
  int64_t best_epoch = -1;  // with `patience`: whose weights were kept, zero-based
};

// How a model answers examples of one class.
struct ClassResult {
  std::string name;
  int64_t examples = 0;  // of the class
  int64_t correct = 0;   // of these
  int64_t answers = 0;   // examples of any class that were taken for this one
};

// Up to so many classes, which one is taken for which is counted.
inline constexpr int64_t kMostConfused = 256;

struct EvalReport {
  PlanReport plan;
  bool evaluated = false;    // false: the plan did not fit
  std::string weights_file;  // the trained model, or the last checkpoint of a run that goes on
  int64_t peak_rss_bytes = 0;
  int64_t examples = 0;
  double samples_per_second = 0;
  double loss = 0;
  double accuracy = 0;
  int64_t skipped_examples = 0;
  std::vector<ClassResult> classes;
  // Examples of class i that were taken for class k, at [i * classes + k]; empty where there are
  // more than kMostConfused classes.
  std::vector<int64_t> confusion;
};

// What a model says about one picture.
struct Prediction {
  struct Answer {
    int64_t label = 0;       // in PredictReport::classes
    double probability = 0;  // softmax over all classes
  };
  std::string file;
  std::string error;            // why there is no answer; empty: there is
  std::vector<Answer> answers;  // the most probable first
};

struct PredictReport {
  PlanReport plan;
  bool predicted = false;  // false: the plan did not fit
  std::string weights_file;
  int64_t peak_rss_bytes = 0;
  std::vector<std::string> classes;  // names
  std::vector<Prediction> pictures;  // in the order in which they were named
};

// One layer of a model, for `thimble profile`.
struct LayerProfile {
  std::string name;
  std::string op;
  std::vector<int64_t> shape;  // of the output
  int64_t parameters = 0;
  int64_t forward_flops = 0;
  int64_t backward_flops = 0;
  int64_t saved_bytes = 0;      // kept from forward to backward, each tensor counted once
  int64_t temporary_bytes = 0;  // largest other memory of one of the layer's steps
};

// Activation memory of one block of a network.
struct BlockProfile {
  // "stem" and "head" are what stands before the first block and behind the last.
  std::string name;
  bool is_block = true;
  // Of one example, as "Efficient On-device Transfer Learning using Activation Memory Reduction"
  // (FMEC 2023) counts: f32, the forward pass alone, equations 2, 5 and 6.
  int64_t temporary_bytes = 0;   // of the layer that takes most: what goes in and comes out
  int64_t cumulative_bytes = 0;  // kept for the backward pass, by this block and those before
  int64_t peak_bytes = 0;  // largest sum of a layer's temporary bytes and what is kept by then
  bool sensitive = false;  // takes more for a moment than the whole network keeps
  // The same of one run of thimble's plan, with all its examples, backward pass and techniques:
  // what lies in the arena beside weights, their gradients, optimizer and data.
  int64_t planned_temporary_bytes = 0;
  int64_t planned_cumulative_bytes = 0;
  int64_t planned_peak_bytes = 0;
};

struct Profile {
  std::vector<LayerProfile> layers;
  // How much the arena of the same plan grows with each pixel that comes in, pictures and labels
  // included (arXiv 1910.11127 calls it the pixel-wise memory cost): from this batch and twice it.
  double arena_bytes_per_pixel = 0;
  std::vector<BlockProfile> blocks = {};  // a single one: the network has no blocks
  BlockProfile all_blocks = {};           // the largest temporary and peak, and all that is kept
  int64_t planned_examples = 0;           // in one run of the plan
  // Equation 4: the paper's peak for each example of the batch, trained weights in f32 and frozen
  // ones in 8 bits.
  int64_t paper_total_bytes = 0;
  TrainOptions options = {};  // with the usual values filled in
};

// What `prune` removes: hidden channels of blocks, as "Efficient On-device Transfer Learning using
// Activation Memory Reduction" (FMEC 2023) does, by the memory of BlockProfile.
struct PruneChoice {
  // That a block's peak may take; 0: temporary bytes may be as many as are kept of the whole
  // network before pruning.
  int64_t target_bytes = 0;
  // auto: the sensitive ones that take more than the target; all: whichever do; or numbers and
  // names of blocks, with commas between: "1-4,block7".
  std::string blocks = "auto";
  int64_t examples = 128;  // training pictures by which channels are ranked
  std::string to;          // file that is written, called *.thimble
};

struct PrunedBlock {
  std::string name;
  double ratio = 0;             // share of the hidden channels that was removed
  int64_t channels_before = 0;  // hidden
  int64_t channels = 0;
  bool reached = true;  // false: it takes more than the target with a single channel
  BlockProfile before, after;
};

struct PruneReport {
  std::vector<PrunedBlock> blocks;  // that were asked for, or sensitive
  BlockProfile before, after;       // of the whole network
  std::string peak_block;           // that has its peak now
  int64_t target_bytes = 0;         // of peaks, or of temporary bytes when none was given
  int64_t parameters_before = 0;    // of the network in the file, trained and frozen
  int64_t parameters = 0;
  int64_t examples = 0;  // by which channels were ranked
  std::string file;      // that was written
};

// A feature map that the backward pass of a reversible network has again instead of keeping it.
struct RebuiltTensor {
  std::string name;
  std::string layer;      // whose inverse gave it, or which ran once more
  bool inverted = false;  // false: the layer ran once more
  // Signal to noise in dB against the kept tensor; infinite where it is the same to the bit, minus
  // infinity where it is no number. Below 0 the errors are larger than the tensor.
  double measured_db = std::numeric_limits<double>::infinity();
  // The same as the theory has it, of the layers' weights as they are.
  double predicted_db = std::numeric_limits<double>::infinity();
  // What this layer's inverse alone loses of the ratio, where it divides: measured (not a number
  // when it reads what is exact), and by theory.
  double loss_db = 0;
  double predicted_loss_db = 0;
};

struct Reversibility {
  TrainOptions options;                // with the usual values filled in
  std::vector<RebuiltTensor> tensors;  // in the order of the backward pass
  double least_measured_db = std::numeric_limits<double>::infinity();
  // The same as a plan that rebuilds all of them predicts, without knowing the weights.
  double predicted_before_db = std::numeric_limits<double>::infinity();
  int64_t kept_anchors = 0;  // maps that --min-snr kept
  // Gradients of all weights against those of kept tensors: signal to noise in dB.
  double gradient_db = std::numeric_limits<double>::infinity();
};

// Measures what this machine does with the chosen backend and threads, once, and keeps the figures
// in the user's cache folder: predicted times need them. Starts a child process for it, so call it
// before anything else of the library, and not from a program with several threads. With
// `offload_folder`, what the device under it does is measured as well.
void calibrate(const TrainOptions& options);

// The functions below search for plans in a child process as well, bring OpenMP to the threads that
// are asked for, and give free heap and the pages of code back to the system: they are made for a
// process of their own. Once one of them has computed, `calibrate` and `frontier` come too late.

// What `calibrate_kernels` found.
struct CalibrationReport {
  int64_t kernels = 0;          // kinds of work that were timed
  double step_seconds = 0;      // a whole step, measured
  double predicted_before = 0;  // the same, from the few figures that are always measured
  std::string cache_file;       // where the figures are kept
};
// Runs a few steps of the plan in a child process, in its budget, and keeps what each kernel took
// in the user's cache folder: plans of this model, and less exactly of others, then predict their
// time well. Needs no data. Throws UserError when the plan does not fit the budget.
CalibrationReport calibrate_kernels(const TrainOptions& options);

// Does it fit, and how fast will it be? Needs no data: `data.path` may be empty.
PlanReport plan(const TrainOptions& options);
// The same, with every step and every tensor's place.
PlanTimeline plan_timeline(const TrainOptions& options);
// What time buys: the ways to train that the planner knows, fastest and largest first; each further
// one is smaller and slower. `most_planned` of them (at least the fastest and the smallest) are
// planned as `plan` would, each in a child process of its own, so that one's memory is not
// another's; the rest are estimates between those. The budget is not looked at. As with
// `calibrate`: call it before anything else, and not from a program with several threads.
std::vector<FrontierPoint> frontier(const TrainOptions& options, int most_planned = 16);
// The plan in full, for people: one line per step, with layouts and places.
std::string describe_plan(const TrainOptions& options);
// What does not fit its budget is profiled in the smallest plan.
Profile profile(const TrainOptions& options);
// Runs one step on the first training batch (without data: on noise), with `initial_weights` or
// fresh ones, and compares what is had again with what it stands for. All of it is kept as well,
// whatever that takes. Of chains that `min_snr_db` allows; what lies inside of couplings' branches
// comes from their ends, where it can. Of `options`: model, sparse, data, seed, threads, backend,
// initial_weights, min_snr_db; budget, optimizer, epochs and run folder make no difference to one
// step's maps. Throws UserError when `allow`, `without` or patches are given.
Reversibility reversibility(const TrainOptions& options);
// Removes hidden channels of the blocks that take more than the target: those with the smallest
// mean l2 norm of their activations on training pictures (each convolution that reads them counts
// the same), as few as bisection finds to be enough, and writes the smaller network with the
// weights that are left. It is less accurate until it is trained again. Of `options`: model (a
// file, or a model of the zoo with `initial_weights`; what is trained and what network stands
// beside decide what blocks take), data, seed, threads, backend. Throws UserError when channels of
// a block cannot be removed.
PruneReport prune(const TrainOptions& options, const PruneChoice& choice);
// Plans, and trains when the plan fits. Compare `peak_rss_bytes` with the budget afterwards: a peak
// above it is a broken contract, which the command line turns into exit code 4. `should_stop` is
// asked between steps; when it holds, a checkpoint file is written, from which `resume` goes on.
// `on_plan` sees the plan before the first step, when it fits, and the options with the usual
// values filled in.
TrainReport train(const TrainOptions& options,
                  const std::function<void(const Progress&)>& on_progress = {},
                  const std::function<bool()>& should_stop = {},
                  const std::function<void(const PlanReport&, const TrainOptions&)>& on_plan = {});
// Evaluates the model in `options.run_folder` on the test split of its data, or of
// `options.data.path` when that is given. Of a run that has not ended: its last checkpoint.
EvalReport evaluate(const TrainOptions& options);
// Shows pictures (JPEG or PNG files) to the model in `options.run_folder`, which needs its data no
// more, and gives each one's `most` most probable classes. A file that is broken has an error.
PredictReport predict(const TrainOptions& options, const std::vector<std::string>& files,
                      int64_t most = 5);

// A stack of configurations, each in fewer bytes than the one before it.
struct StackRequest {
  std::string stack = "wearable-stack";  // a known name, or a folder with a stack.json
  std::string data;                      // as DataChoice::path
  std::vector<std::string> only = {};    // names of configurations; empty: all
  bool quick = false;                    // small pictures and batches: a test, not a measurement
  bool accuracy = false;                 // also train each to its end, in the run folder
  int64_t steps = 3;                     // measured for bytes and time; medians need more
  int threads = 0;                       // 0: all cores
  std::string run_folder;                // of `accuracy`; empty: runs/<stack>, of quick ones -quick
};

// One configuration and what came of it. 0: not known.
struct StackStep {
  enum class Problem : uint8_t { none, does_not_fit, bad_input, failed };

  std::string name;       // "C4"
  std::string title;      // what it adds
  TrainOptions options;   // of the run that was measured
  TrainOptions training;  // of the run for its accuracy
  Problem kind = Problem::none;
  std::string problem;        // why there is nothing measured, or no accuracy; empty: there is
  int64_t source_bytes = 0;   // what the stack's source gives
  int64_t pytorch_bytes = 0;  // measured with PyTorch: peak of the process
  PlanReport plan;
  int64_t peak_rss_bytes = 0;           // measured (VmHWM), of the steps
  double seconds_per_image = 0;         // measured, median of the steps
  double accuracy = -1;                 // on the test split, of `training`; below 0: not trained
  int64_t training_peak_rss_bytes = 0;  // measured (VmHWM), of `training`
};

// Plans and runs each configuration in a process of its own, for as many steps as asked for, and
// with `accuracy` trains it as well; a run that was interrupted goes on. `on_step` hears of each
// when it is done. As with `frontier`: call it before anything else.
std::vector<StackStep> reproduce(const StackRequest& request,
                                 const std::function<void(const StackStep&)>& on_step = {});
// Numbers that belong together, measured by `reproduce_reversible`.
struct StudyTable {
  struct Row {
    std::string label;
    std::vector<double> values;  // one for each column; not a number: not measured, not published
  };
  std::string name;      // for programs: "bytes"
  std::string title;     // for people
  std::string settings;  // of every number in it
  std::vector<std::string> columns;
  std::vector<Row> rows;
};

// The tables and figures of "Reversible designs for extreme memory cost reduction of CNN training"
// (arXiv 1910.11127), measured, beside what it published or its formulas give: bytes per
// pixel, errors by layer, slope and depth, times, and with `accuracy` what training reaches with
// kept and with rebuilt maps, by depth. Of `request`: data (needed for times and accuracy), quick,
// accuracy, steps (of each time), threads, run_folder. As with `frontier`: call it before anything
// else.
std::vector<StudyTable> reproduce_reversible(
    const StackRequest& request, const std::function<void(const StudyTable&)>& on_table = {});

// Writes the files of a known stack to a folder that does not exist yet, to be changed there.
void copy_stack(const std::string& stack, const std::string& folder);

// Brings a network from ONNX into the file that `ModelChoice::name` takes, which ends in .thimble;
// returns what is worth knowing about it, for people, or nothing. Starts the program thimble-onnx,
// so that ONNX's libraries are not in the bytes of this process. Throws UserError with all nodes
// that thimble does not have, and what would help.
std::string import_onnx(const std::string& onnx, const std::string& to);
// The model of a run folder, or a *.thimble file, in the form that the name of `to` ends in: .onnx,
// .thimble or .safetensors (weights alone). A network that came from ONNX goes back with the names
// and the structure that it had.
void export_model(const std::string& from, const std::string& to);

// Names and one-sentence summaries.
using Listing = std::vector<std::pair<std::string, std::string>>;
Listing list_models();
Listing list_data();
Listing list_pixels();  // what `DataChoice::pixels` may say
Listing list_ops();
Listing list_optimizers();      // with what `OptimizerChoice::options` may set
Listing list_approximations();  // what `TrainOptions::allow` may name
Listing list_techniques();      // ways to train in fewer bytes, with their papers
Listing list_backends();        // fastest first; "auto" takes the first

// Options from a JSON file, such as the run.json of a run folder: a field that it lacks has its
// usual value. Throws UserError naming the file and the field that is not known or of another kind.
TrainOptions read_options(const std::string& path);

double usual_learning_rate(const std::string& optimizer);

}  // namespace thimble
