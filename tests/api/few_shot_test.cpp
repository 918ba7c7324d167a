#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/fixtures.h"
#include "runtime/safetensors.h"
#include "runtime/training.h"
#include "support/arena_run.h"
#include "support/expect_error.h"
#include "thimble/thimble.h"

namespace thimble {
namespace {

using namespace data_test;
using nlohmann::json;

// Two colours, one three times as frequent as the other.
class FewShot : public testing::Test {
 protected:
  FewShot() {
    const auto write = [&](const std::string& folder, int count, int level) {
      for (int i = 0; i < count; ++i) {
        write_png(dir_ / "data/" + folder + "/" + std::to_string(i) + ".png", 28, 28,
                  [=](int y, int x, int c) { return c == 1 ? level : (y * x + 9 * i) % 60; });
      }
    };
    write("train/green", 24, 230);
    write("train/mud", 8, 20);
    write("test/green", 5, 230);
    write("test/mud", 3, 20);
  }

  TrainOptions options() const {
    TrainOptions o;
    o.model.name = "lenet";
    o.model.batch = 4;
    o.model.channels = 3;
    o.model.height = o.model.width_px = 28;
    o.data.path = dir_ / "data";
    o.data.validation = 0.25;
    o.optimizer.learning_rate = 0.01;
    o.epochs = 3;
    o.patience = 1;
    o.threads = 2;
    o.seed = 3;
    o.run_folder = dir_ / "run";
    return o;
  }

  std::vector<json> metrics(const std::string& run) const {
    std::istringstream lines(cli_test::text_of(run + "/metrics.jsonl"));
    std::vector<json> all;
    for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
    return all;
  }

  const TempDir dir_;
  const ThreadCount threads_{2};
};

TEST_F(FewShot, PatienceKeepsTheBestEpochOfTheValidationPart) {
  TrainOptions o = options();
  o.epochs = 8;
  const TrainReport report = train(o);
  ASSERT_TRUE(report.trained);
  const std::vector<json> epochs = metrics(o.run_folder);
  double best = -1;
  for (const json& epoch : epochs) {
    EXPECT_FALSE(epoch.contains("test_loss"));
    best = std::max(best, epoch["validation_accuracy"].get<double>());
  }
  EXPECT_EQ(report.validation_accuracy, best);
  // It ended one epoch behind the best one, or at the last.
  const auto last = static_cast<int64_t>(epochs.size()) - 1;
  EXPECT_EQ(last, std::min<int64_t>(report.best_epoch + 1, 7));
  EXPECT_EQ(epochs[static_cast<size_t>(report.best_epoch)]["validation_loss"],
            report.validation_loss);
  EXPECT_EQ(read_file(report.weights_file), read_file(o.run_folder + "/best.safetensors"));
  EXPECT_GE(report.accuracy, 0);
}

TEST_F(FewShot, ABestEpochThatIsNotTheLastIsBroughtBack) {
  TrainOptions o = options();
  o.optimizer.schedule = "constant";
  o.optimizer.learning_rate = 0.2;  // wild: some epoch is worse than one before
  o.epochs = 30;
  TrainReport report;
  try {
    report = train(o);
  } catch (const Diverged&) {
    GTEST_SKIP() << "diverged";
  }
  const auto last = static_cast<int64_t>(metrics(o.run_folder).size()) - 1;
  EXPECT_EQ(last, report.best_epoch + 1);
  const SafetensorsReader model(report.weights_file);
  const SafetensorsReader checkpoint(o.run_folder + "/checkpoint.safetensors");
  EXPECT_EQ(checkpoint.metadata().at("best_epoch"), std::to_string(report.best_epoch));
  std::vector<float> kept(6 * 3 * 25), newest(kept.size());
  const std::string name = model.entries()[0].name;
  const auto bytes = model.entries()[0].bytes;
  kept.resize(static_cast<size_t>(bytes) / 4);
  newest.resize(kept.size());
  model.read(name, kept.data(), bytes);
  checkpoint.read(name, newest.data(), bytes);
  EXPECT_NE(kept, newest);
}

TEST_F(FewShot, AResumedRunKeepsTheSameBestBits) {
  TrainOptions o = options();
  o.data.balance = "draw";
  o.checkpoint_every = 2;
  const TrainReport whole = train(o);
  o.run_folder = dir_ / "crashed";
  for (const int64_t steps : {3, 7, 5}) {
    int64_t done = 0;
    try {
      train(o, [&](const Progress&) {
        if (++done == steps) throw std::runtime_error("crash");
      });
    } catch (const std::runtime_error&) {
    }
    o.resume = true;
  }
  const TrainReport resumed = train(o);
  EXPECT_EQ(resumed.best_epoch, whole.best_epoch);
  EXPECT_EQ(read_file(resumed.weights_file), read_file(whole.weights_file));
}

// As a kill would leave it between the two files.
TEST_F(FewShot, AResumeWritesTheBestWeightsThatAKillLeftOut) {
  TrainOptions o = options();
  o.epochs = 1;
  const Bytes best = read_file(train(o).weights_file);
  std::filesystem::remove(o.run_folder + "/best.safetensors");
  o.resume = true;
  EXPECT_EQ(read_file(train(o).weights_file), best);
  EXPECT_EQ(read_file(o.run_folder + "/best.safetensors"), best);
}

TEST_F(FewShot, PatienceNeedsAFolder) {
  TrainOptions o = options();
  o.run_folder.clear();
  expect_user_error([&] { train(o); }, "patience needs a run folder");
}

TEST_F(FewShot, BalanceChangesWhatIsTrained) {
  std::vector<Bytes> models;
  for (const char* balance : {"none", "loss", "draw", "loss"}) {
    TrainOptions o = options();
    o.data.validation = 0;
    o.patience = 0;
    o.epochs = 1;
    o.data.balance = balance;
    o.run_folder = dir_ / std::to_string(models.size());
    models.push_back(read_file(train(o).weights_file));
  }
  EXPECT_NE(models[0], models[1]);
  EXPECT_NE(models[0], models[2]);
  EXPECT_NE(models[1], models[2]);
  EXPECT_EQ(models[1], models[3]);
}

TEST_F(FewShot, PlansBookTheWeightsOfClassesWithoutData) {
  TrainOptions o;
  o.model.name = "lenet";
  o.model.classes = 1000;
  o.data.balance = "loss";
  const int64_t weighted = plan(o).arena_bytes;
  o.data.balance = "none";
  EXPECT_EQ(weighted - plan(o).arena_bytes, 4032);  // 1000 floats, in whole cache lines
}

TEST_F(FewShot, EvaluationCountsByClass) {
  const TrainOptions o = options();
  const TrainReport trained = train(o);
  const EvalReport report = evaluate(o);
  ASSERT_EQ(report.classes.size(), 2u);
  EXPECT_EQ(report.classes[0].name, "green");
  EXPECT_EQ(report.classes[1].name, "mud");
  EXPECT_EQ(report.classes[0].examples, 5);
  EXPECT_EQ(report.classes[1].examples, 3);
  EXPECT_EQ(report.accuracy, trained.accuracy);
  const auto& m = report.confusion;
  ASSERT_EQ(m.size(), 4u);
  EXPECT_EQ(m[0] + m[1], 5);
  EXPECT_EQ(m[2] + m[3], 3);
  EXPECT_EQ(m[0], report.classes[0].correct);
  EXPECT_EQ(m[3], report.classes[1].correct);
  EXPECT_EQ(m[0] + m[2], report.classes[0].answers);
  EXPECT_EQ(static_cast<double>(m[0] + m[3]) / 8, report.accuracy);
}

TEST_F(FewShot, PredictsWithoutTheDataWhatEvaluationAnswers) {
  TrainOptions o = options();
  o.data.pixels = "caffe";
  train(o);
  const EvalReport evaluated = evaluate(o);
  std::vector<std::string> files;
  for (int i = 0; i < 5; ++i) {
    std::filesystem::copy(dir_ / "data/test/green/" + std::to_string(i) + ".png",
                          dir_ / std::to_string(i) + ".png");
    files.push_back(dir_ / std::to_string(i) + ".png");
  }
  std::filesystem::remove_all(dir_ / "data");
  write_file(dir_ / "broken.jpg", {1, 2, 3});
  files.insert(files.begin() + 2, dir_ / "broken.jpg");
  TrainOptions call;
  call.run_folder = o.run_folder;
  call.threads = 2;
  const PredictReport report = predict(call, files, 9);
  ASSERT_TRUE(report.predicted);
  EXPECT_EQ(report.classes, (std::vector<std::string>{"green", "mud"}));
  ASSERT_EQ(report.pictures.size(), 6u);
  int64_t green = 0;
  for (size_t i = 0; i < report.pictures.size(); ++i) {
    const Prediction& picture = report.pictures[i];
    EXPECT_EQ(picture.file, files[i]);
    if (i == 2) {
      EXPECT_EQ(picture.error, dir_ / "broken.jpg" + ": neither a JPEG nor a PNG file");
      EXPECT_TRUE(picture.answers.empty());
      continue;
    }
    EXPECT_EQ(picture.error, "");
    ASSERT_EQ(picture.answers.size(), 2u);  // all there are
    EXPECT_NEAR(picture.answers[0].probability + picture.answers[1].probability, 1, 1e-12);
    EXPECT_GE(picture.answers[0].probability, picture.answers[1].probability);
    green += picture.answers[0].label == 0;
  }
  EXPECT_EQ(green, evaluated.classes[0].correct);
}

// The good ones are answered, each broken one is an error that names it.
TEST_F(FewShot, ThePredictCommandAnswersBesideBrokenPictures) {
  TrainOptions o = options();
  o.epochs = 1;
  train(o);
  const std::string good = dir_ / "data/test/green/0.png";
  write_file(dir_ / "cut.png", {0x89, 'P', 'N', 'G'});
  const auto call = [&](const std::string& pictures) {
    return cli_test::thimble("predict --json --threads 1 --run " + o.run_folder + " " + pictures);
  };
  const auto f = call(good + " " + (dir_ / "cut.png") + " " + (dir_ / "none.jpg") + " " + good);
  EXPECT_EQ(f.exit_code, 2);
  const auto pictures = nlohmann::json::parse(f.out)["pictures"];
  ASSERT_EQ(pictures.size(), 4u);
  for (const size_t i : {0, 3}) {
    EXPECT_EQ(pictures[i]["file"], good);
    EXPECT_EQ(pictures[i]["answers"].size(), 2u);
    EXPECT_TRUE(pictures[i]["error"].is_null());
  }
  for (const size_t i : {1, 2}) {
    const std::string error = pictures[i]["error"];
    EXPECT_TRUE(error.starts_with(std::string(pictures[i]["file"]) + ": ")) << error;
    EXPECT_NE(f.err.find("thimble: error: " + error + "\n"), f.err.npos) << f.err;
  }
  const auto alone = call(dir_ / "none.jpg");
  EXPECT_EQ(alone.exit_code, 2);
  EXPECT_EQ(nlohmann::json::parse(alone.out)["error"]["exit_code"], 2) << alone.out;
  EXPECT_NE(alone.err.find("none.jpg"), alone.err.npos) << alone.err;
}

TEST_F(FewShot, APredictionThatDoesNotFitIsAResult) {
  TrainOptions o = options();
  train(o);
  TrainOptions call;
  call.run_folder = o.run_folder;
  call.budget_bytes = 1;
  const PredictReport report = predict(call, {dir_ / "data/test/mud/0.png"});
  EXPECT_FALSE(report.predicted);
  EXPECT_GT(report.plan.smallest_budget_bytes, 1 << 20);
  expect_user_error([&] { predict(call, {}); }, "predict needs pictures");
}

}  // namespace
}  // namespace thimble
