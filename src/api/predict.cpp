#include <algorithm>
#include <cmath>
#include <utility>

#include "api/run_options.h"
#include "base/process_memory.h"
#include "data/picture_files.h"
#include "runtime/run_data.h"
#include "runtime/session.h"

namespace thimble {
namespace {

// The answers are made before the plan, so that its measured bytes have them.
void make_room(PredictReport& report, const std::vector<std::string>& files, int64_t most) {
  report.pictures.resize(files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    report.pictures[i].file = files[i];
    report.pictures[i].answers.resize(static_cast<size_t>(most));
  }
}

// The largest logits, the first of equal ones first, as shares of softmax.
void answer(std::vector<Prediction::Answer>& answers, std::span<const float> logits) {
  size_t known = 0;
  for (size_t k = 0; k < logits.size(); ++k) {
    size_t place = known;
    while (place > 0 && logits[k] > logits[static_cast<size_t>(answers[place - 1].label)]) --place;
    if (place == answers.size()) continue;
    known = std::min(known + 1, answers.size());
    std::move_backward(answers.begin() + static_cast<std::ptrdiff_t>(place),
                       answers.begin() + static_cast<std::ptrdiff_t>(known) - 1,
                       answers.begin() + static_cast<std::ptrdiff_t>(known));
    answers[place].label = static_cast<int64_t>(k);
  }
  const double largest = logits[static_cast<size_t>(answers[0].label)];
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  for (Prediction::Answer& a : answers) {
    const double logit = logits[static_cast<size_t>(a.label)];
    a.probability = std::exp(logit - largest) / sum;
  }
}

}  // namespace

PredictReport predict(const TrainOptions& options, const std::vector<std::string>& files,
                      int64_t most) {
  require(!files.empty(), "predict needs pictures: JPEG or PNG files");
  require(most >= 1, "the most probable classes are ", most, ", needs at least 1");
  const RunFolder folder(options.run_folder);
  const std::string weights_file = folder.weights_file();
  const RunData data = read_run_data(folder.data_file());
  TrainOptions run = options_of_run(folder, options);
  run.data.path.clear();
  run.data.skip_bad = true;  // each says what is wrong with it
  const auto classes = static_cast<int64_t>(data.classes.size());
  require(classes == run.model.classes, folder.data_file(), ": names ", classes,
          " classes, and the model tells ", run.model.classes, " apart");
  run.model.batch = std::min(run.model.batch, static_cast<int64_t>(files.size()));
  PredictReport report;
  report.classes = data.classes;
  make_room(report, files, std::min(most, classes));
  DatasetInfo info;
  info.description = str_cat(files.size(), " pictures");
  info.image = Shape{3, 0, 0};
  info.class_names = data.classes;
  info.mean = data.pixels.mean;
  info.std = data.pixels.std;
  auto owned = std::make_unique<PictureFiles>(std::move(info), files);
  const PictureFiles& pictures = *owned;
  Setup setup = prepare(run, false, std::move(owned));
  setup.test_loader.mean = data.pixels.mean;
  setup.test_loader.std = data.pixels.std;
  setup.test_loader.bgr = data.pixels.bgr;
  const Plan plan = make_plan(std::move(setup.request), setup.machine);
  report.plan = report_of(plan);
  if (!plan.fits) return report;
  release_what_is_done();
  Session session(setup, plan);
  session.weights().load(weights_file, false);
  release_what_is_done();
  session.evaluate(Session::Part::test, {},
                   [&](int64_t picture, int32_t, std::span<const float> logits) {
                     answer(report.pictures[static_cast<size_t>(picture)].answers, logits);
                   });
  for (int64_t i = 0; i < pictures.size(); ++i) {
    Prediction& picture = report.pictures[static_cast<size_t>(i)];
    picture.error = pictures.error(i);
    if (!picture.error.empty()) picture.answers.clear();
  }
  report.predicted = true;
  report.weights_file = weights_file;
  report.peak_rss_bytes = peak_resident_bytes();
  return report;
}

}  // namespace thimble
