#include "runtime/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/process_memory.h"
#include "runtime/best_epoch.h"
#include "runtime/feature_cache.h"
#include "runtime/learning_rate.h"
#include "runtime/metadata.h"
#include "runtime/run_folder.h"
#include "runtime/session.h"

namespace thimble {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Times of the last steps, in memory taken before the first.
class StepTimes {
 public:
  StepTimes() { seconds_.reserve(kKept); }
  void add(double seconds) {
    if (seconds_.size() < kKept) {
      seconds_.push_back(seconds);
    } else {
      seconds_[next_++ % kKept] = seconds;
    }
  }
  double median() {
    if (seconds_.empty()) return 0;
    const auto middle = seconds_.begin() + static_cast<std::ptrdiff_t>(seconds_.size() / 2);
    std::nth_element(seconds_.begin(), middle, seconds_.end());
    return *middle;
  }

 private:
  static constexpr size_t kKept = 4096;
  std::vector<double> seconds_;
  size_t next_ = 0;
};

// Where training stands; what a checkpoint file says beside the weights.
struct Position {
  int64_t step = 0;       // steps done since the beginning
  double epoch_loss = 0;  // sum over the steps of this epoch
  int64_t skipped = 0;    // broken examples so far
  double seconds = 0;     // of training before this process
  bool untested = false;  // the epoch's steps are done, but not its evaluation

  std::map<std::string, std::string> metadata() const {
    return {{"format", "thimble-checkpoint"},
            {"step", std::to_string(step)},
            {"epoch_loss", exact_text(epoch_loss)},
            {"skipped", std::to_string(skipped)},
            {"seconds", fixed(seconds)},
            {"untested", untested ? "1" : "0"}};
  }
  static Position of(const std::map<std::string, std::string>& metadata, const std::string& path) {
    const auto get = [&](const char* name) {
      const auto it = metadata.find(name);
      require(it != metadata.end(), path, " is not a checkpoint of thimble: it does not say its ",
              name);
      return it->second;
    };
    const auto number = [&](const char* name) { return metadata_number(get(name), name, path); };
    return {static_cast<int64_t>(number("step")), number("epoch_loss"),
            static_cast<int64_t>(number("skipped")), number("seconds"),
            metadata.contains("untested") && metadata.at("untested") == "1"};
  }
  // Of one width: files of one run have one size.
  static std::string fixed(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%017.6f", value);
    return text;
  }
};

double explored_share(const std::vector<Exploration>& weights) {
  double explored = 0, positions = 0;
  for (const Exploration& e : weights) {
    explored += static_cast<double>(e.explored);
    positions += static_cast<double>(e.positions);
  }
  return positions > 0 ? explored / positions : 0;
}

class Training {
 public:
  Training(const Setup& setup, const Plan& plan, const Watch& watch)
      : setup_(setup),
        options_(setup.options),
        plan_(plan),
        watch_(watch),
        folder_(options_.run_folder),
        session_(setup, plan) {}

  TrainReport run() {
    begin();
    if (!options_.run_folder.empty()) session_.map_constant(options_.run_folder);
    steps_per_epoch_ = session_.open_loader(Session::Part::training)->batches_per_epoch() /
                       plan_.numerics.microbatches;
    total_steps_ = steps_per_epoch_ * options_.epochs;
    first_step_ = position_.step;
    if (!setup_.features.empty() && goes_on()) cache_features();
    begin_ = Clock::now();
    // A kill may have come between the checkpoint that names the best epoch and its weights' file.
    if (best_.is_known() && position_.step == (best_.epoch + 1) * steps_per_epoch_) save_best();
    while (!stopped_ && goes_on()) epoch();
    if (!stopped_ && best_.is_known()) session_.weights().load(folder_.best_file(), false);
    if (!stopped_ && validates() && !validation_) validation_ = evaluate(Session::Part::validation);
    if (!stopped_ && !test_) test_ = evaluate(Session::Part::test);
    return finish();
  }

 private:
  void begin() {
    const bool saved = !options_.run_folder.empty();
    if (saved && options_.resume && folder_.has_checkpoint()) {
      const std::string file = folder_.checkpoint_file();
      const auto metadata = session_.weights().load(file, true);
      position_ = Position::of(metadata, file);
      if (options_.patience > 0) best_ = BestEpoch::of(metadata, file);
      check_same(metadata, file);
      folder_.truncate_metrics(position_.step);
      return;
    }
    session_.weights().initialise(options_.seed);
    if (!setup_.model_file.empty()) session_.weights().load(setup_.model_file, false, setup_.fresh);
    if (const std::string& file = options_.initial_weights; !file.empty()) {
      session_.weights().load(file, false, lacking(file, setup_.fresh));
    }
    if (!saved) return;
    folder_.truncate_metrics(0);
    // A run that is killed before its first checkpoint resumes from here.
    checkpoint();
  }

  void cache_features() {
    const auto begin = Clock::now();
    const auto report = [&](int64_t done, int64_t pictures) {
      if (!watch_.on_progress) return;
      const double seconds = seconds_since(begin);
      Progress p = progress_of_process();
      p.cached = done;
      p.to_cache = pictures;
      p.samples_per_second = static_cast<double>(done) / seconds;
      p.seconds_left = seconds / static_cast<double>(done) * static_cast<double>(pictures - done);
      watch_.on_progress(p);
    };
    auto features = open_features(session_, setup_, plan_, {report, watch_.should_stop});
    position_.seconds += seconds_since(begin);
    stopped_ = features == nullptr;
    if (!stopped_) session_.use_features(std::move(features));
  }

  void epoch() {
    const int64_t epoch = (position_.step - position_.untested) / steps_per_epoch_;
    release_what_is_done();
    if (!position_.untested) train_epoch(epoch);
    release_what_is_done();
    if (!stopped_ && validates()) {
      validation_ = evaluate(Session::Part::validation);
    } else if (!stopped_) {
      test_ = evaluate(Session::Part::test);
    }
    release_what_is_done();
    if (stopped_) {
      checkpoint();
    } else {
      end_epoch(epoch);
    }
  }

  std::optional<Session::Evaluation> evaluate(Session::Part part) {
    const auto result = session_.evaluate(part, watch_.should_stop);
    stopped_ = !result;
    return result;
  }

  // Then each epoch is evaluated on the validation part, and the test split waits for the end.
  bool validates() const { return setup_.validation_data != nullptr; }

  bool goes_on() const {
    if (position_.untested) return true;
    const int64_t last = position_.step / steps_per_epoch_ - 1;  // that is done
    const bool hopes = !best_.is_known() || last - best_.epoch < options_.patience;
    return position_.step < total_steps_ && hopes;
  }

  // The checkpoint comes first: whichever it names, its weights are here, or in that file.
  void save_best() {
    release_what_is_done();
    session_.weights().save(folder_.best_file(), false, {{"format", "thimble-model"}});
    release_what_is_done();
  }

  bool asked_to_stop() const { return watch_.should_stop && watch_.should_stop(); }

  void train_epoch(int64_t epoch) {
    // One loader at a time: training and evaluation share its memory.
    const auto loader = session_.open_loader(Session::Part::training);
    loader->begin_epoch(epoch, position_.step % steps_per_epoch_ * plan_.numerics.microbatches);
    const int64_t skipped_before = position_.skipped;
    stopped_ = asked_to_stop();
    while (!stopped_) {
      const double lr = rate(position_.step);
      const auto begin = Clock::now();
      const auto r = session_.train_step(*loader, lr, position_.step);
      if (!r) break;
      times_.add(seconds_since(begin));
      if (!std::isfinite(r->loss)) {
        throw Diverged(str_cat("the loss is not a number at step ", position_.step,
                               "; try a smaller learning rate (now ", lr, ") or a longer warm-up",
                               hint_of_noise()));
      }
      ++position_.step;
      position_.epoch_loss += r->loss;
      position_.skipped = skipped_before + loader->skipped();
      progress(lr, epoch, false);
      position_.untested = position_.step % steps_per_epoch_ == 0;
      stopped_ = asked_to_stop();
      const bool due =
          options_.checkpoint_every > 0 && position_.step % options_.checkpoint_every == 0;
      if (due && !position_.untested && !stopped_) checkpoint();
    }
  }

  // Where maps that are had again are mostly noise, no rate helps.
  std::string hint_of_noise() const {
    const double snr_db = plan_.predicted_snr_db;
    if (snr_db >= static_cast<double>(kUsualSnrDb)) return "";
    return str_cat("; maps that were had again were predicted to have a ratio of signal to noise ",
                   "of ", std::lround(snr_db), " dB: a larger --min-snr keeps more of them");
  }

  void end_epoch(int64_t epoch) {
    const double lr = rate(position_.step - 1);
    // The last step's own loss is from before its update.
    if (!std::isfinite(validates() ? validation_->loss : test_->loss)) {
      throw Diverged(str_cat("the loss is not a number when epoch ", epoch + 1, " is evaluated",
                             "; try a smaller learning rate (now ", lr, ") or a longer warm-up",
                             hint_of_noise()));
    }
    progress(lr, epoch, true);
    StepMetrics m;
    m.step = position_.step;
    m.epoch = epoch;
    m.loss = position_.epoch_loss / static_cast<double>(steps_per_epoch_);
    m.learning_rate = lr;
    if (validates()) {
      m.validation_loss = validation_->loss;
      m.validation_accuracy = validation_->accuracy;
    } else {
      m.test_loss = test_->loss;
      m.test_accuracy = test_->accuracy;
    }
    if (options_.sparse.explored) m.explored = explored_share(session_.weights().exploration());
    m.resident_bytes = resident_bytes();
    m.seconds = position_.seconds + seconds_since(begin_);
    position_.epoch_loss = 0;
    position_.untested = false;
    if (options_.run_folder.empty()) return;
    folder_.append_metrics(m);
    const BestEpoch now =
        validates() ? BestEpoch{epoch, validation_->loss, validation_->accuracy} : BestEpoch{};
    const bool better = options_.patience > 0 && best_.is_beaten_by(now);
    if (better) best_ = now;
    checkpoint();
    if (better) save_best();
  }

  double rate(int64_t step) const {
    return learning_rate(options_.optimizer, step, steps_per_epoch_, options_.epochs);
  }

  // Other kernels or other data would go on to other bits.
  void check_same(const std::map<std::string, std::string>& metadata, const std::string& file) {
    const auto same = [&](const char* what, const std::string& now) {
      const auto it = metadata.find(what);
      const std::string then = it == metadata.end() ? "(not said)" : it->second;
      require(
          then == now, file, ": was written with ", what, " ", then, ", but now it is ", now,
          "; the run would not go on to the same result. To start a new run from these weights, "
          "name another run folder and give them with --init");
    };
    same("kernels", setup_.kernels);
    same("examples", std::to_string(setup_.train_data->size()));
  }

  void checkpoint() {
    if (options_.run_folder.empty()) return;
    release_what_is_done();
    Position now = position_;
    now.seconds += first_step_ < 0 ? 0 : seconds_since(begin_);
    auto metadata = now.metadata();
    best_.add_to(metadata);
    metadata["kernels"] = setup_.kernels;
    metadata["numerics"] = text_of(plan_.numerics);
    metadata["examples"] = std::to_string(setup_.train_data->size());
    session_.weights().save(folder_.checkpoint_file(), true, metadata);
    release_what_is_done();
  }

  Progress progress_of_process() const {
    Progress p;
    p.epochs = options_.epochs;
    p.resident_bytes = resident_bytes();
    p.process_bytes = plan_.process_bytes;
    p.budget_bytes = plan_.budget_bytes;
    return p;
  }

  void progress(double lr, int64_t epoch, bool done) {
    if (!watch_.on_progress) return;
    const double seconds = seconds_since(begin_);
    const int64_t here = position_.step - first_step_;
    const int64_t in_epoch = position_.step - epoch * steps_per_epoch_;
    Progress p = progress_of_process();
    p.epoch = epoch;
    p.step = in_epoch - 1;
    p.steps = steps_per_epoch_;
    p.loss = position_.epoch_loss / static_cast<double>(in_epoch);
    p.learning_rate = lr;
    p.samples_per_second = static_cast<double>(here * options_.model.batch) / seconds;
    // None were done here when a run goes on with the evaluation of an epoch.
    p.seconds_left = seconds / static_cast<double>(std::max<int64_t>(here, 1)) *
                     static_cast<double>(total_steps_ - position_.step);
    p.epoch_done = done;
    p.validation = validates();
    if (const auto& found = validates() ? validation_ : test_; found) {
      p.test_loss = found->loss;
      p.test_accuracy = found->accuracy;
    }
    watch_.on_progress(p);
  }

  TrainReport finish() {
    release_what_is_done();
    TrainReport report;
    report.plan = report_of(plan_);
    report.trained = !stopped_;
    report.interrupted = stopped_;
    report.step_seconds_median = times_.median();
    report.samples_per_second =
        report.step_seconds_median > 0
            ? static_cast<double>(options_.model.batch) / report.step_seconds_median
            : 0;
    if (test_) {
      report.loss = test_->loss;
      report.accuracy = test_->accuracy;
    }
    report.skipped_examples = position_.skipped + (test_ ? test_->skipped : 0);
    if (best_.is_known()) {
      report.best_epoch = best_.epoch;
      report.validation_loss = best_.loss;
      report.validation_accuracy = best_.accuracy;
    } else if (validation_) {
      report.validation_loss = validation_->loss;
      report.validation_accuracy = validation_->accuracy;
    }
    if (!options_.run_folder.empty() && !stopped_) {
      report.weights_file = folder_.model_file();
      session_.weights().save(report.weights_file, false, {{"format", "thimble-model"}});
    }
    report.explored = session_.weights().exploration();
    report.peak_rss_bytes = peak_resident_bytes();
    return report;
  }

  const Setup& setup_;
  const TrainOptions& options_;
  const Plan& plan_;
  const Watch& watch_;
  RunFolder folder_;
  Session session_;
  Position position_;
  StepTimes times_;
  int64_t steps_per_epoch_ = 0;
  int64_t total_steps_ = 0;
  int64_t first_step_ = -1;  // not begun
  Clock::time_point begin_;
  BestEpoch best_;  // with patience
  // Of the newest weights; nothing: not evaluated yet.
  std::optional<Session::Evaluation> validation_, test_;
  bool stopped_ = false;  // by should_stop
};

}  // namespace

TrainReport run_training(const Setup& setup, const Plan& plan, const Watch& watch) {
  release_what_is_done();
  return Training(setup, plan, watch).run();
}

}  // namespace thimble
