#include "report/answers.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "report/html.h"

namespace thimble::report_test {
namespace {

using nlohmann::json;

EvalReport made_up_eval() {
  EvalReport report;
  report.evaluated = true;
  report.weights_file = "runs/</script>/model.safetensors";
  report.classes = {{"rose", 4, 1, 2}, {"tulip", 4, 3, 6}, {"none", 0, 0, 0}};
  report.confusion = {1, 3, 0, 1, 3, 0, 0, 0, 0};
  return report;
}

TEST(Answers, TheWorstConfusionsComeFirst) {
  const std::vector<Confusion> worst = worst_confusions(made_up_eval(), 5);
  ASSERT_EQ(worst.size(), 2u);
  EXPECT_EQ(worst[0].is, 0u);
  EXPECT_EQ(worst[0].taken, 1u);
  EXPECT_EQ(worst[0].examples, 3);
  EXPECT_EQ(worst[1].is, 1u);
  EXPECT_EQ(worst_confusions(made_up_eval(), 1).size(), 1u);
}

TEST(Answers, EachClassHasALine) {
  EXPECT_EQ(classes_text(made_up_eval()),
            "  class  examples  right  accuracy  precision\n"
            "  rose          4      1    0.2500     0.5000\n"
            "  tulip         4      3    0.7500     0.5000\n"
            "  none          0      0         -          -\n"
            "\n"
            "most often confused\n"
            "  3  rose   taken for tulip\n"
            "  1  tulip  taken for rose\n");
}

TEST(Answers, OfManyClassesTheWorstAreListed) {
  EvalReport report;
  for (int64_t c = 0; c < 100; ++c) report.classes.push_back({std::to_string(c), 100, c, 1});
  const std::string text = classes_text(report);
  EXPECT_NE(text.find("  0           100      0    0.0000     0.0000\n"), std::string::npos)
      << text;
  EXPECT_EQ(text.find("  20 "), std::string::npos);
  EXPECT_NE(text.find("  the 20 that are right least often, of 100 classes\n"), std::string::npos);
}

PredictReport made_up_prediction() {
  PredictReport report;
  report.predicted = true;
  report.classes = {"rose", "tulip"};
  report.pictures = {{"a.jpg", "", {{1, 0.75}, {0, 0.25}}}, {"b.jpg", "b.jpg: broken", {}}};
  return report;
}

TEST(Answers, APictureHasItsClassesAndTheirShares) {
  EXPECT_EQ(prediction_text(made_up_prediction()), "a.jpg\n  0.7500  tulip\n  0.2500  rose\n");
}

TEST(Answers, PredictionsAreJson) {
  const json object = json::parse(to_json(made_up_prediction()));
  EXPECT_EQ(object["pictures"], json::parse(R"([
    {"file": "a.jpg", "error": null, "answers": [
      {"class": "tulip", "label": 1, "probability": 0.75},
      {"class": "rose", "label": 0, "probability": 0.25}]},
    {"file": "b.jpg", "error": "b.jpg: broken", "answers": []}])"));
}

TEST(Answers, ThePageHoldsTheMatrixAndNoNameBecomesMarkup) {
  const std::string page = confusion_html(made_up_eval());
  EXPECT_NE(page.find("\"confusion\":\"1,3,0;1,3,0;0,0,0\""), std::string::npos);
  EXPECT_EQ(page.find("runs/</script>"), std::string::npos);
  EXPECT_EQ(page.find("http"), page.find("http-equiv"));  // nothing from elsewhere
}

}  // namespace
}  // namespace thimble::report_test
