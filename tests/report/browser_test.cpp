// The pages in a real browser. Skipped where no Chromium is installed (apt install chromium).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <regex>

#include "cli/child.h"
#include "made_up.h"
#include "made_up_timeline.h"
#include "report/html.h"

namespace thimble::report_test {
namespace {

using cli_test::Finished;
using cli_test::shell;
using cli_test::TempDir;

const std::string& browser() {
  static const std::string found = [] {
    const std::string out =
        shell("command -v chromium || command -v chromium-browser || command -v google-chrome").out;
    return out.substr(0, out.find('\n'));
  }();
  return found;
}

#define NEEDS_BROWSER() \
  if (browser().empty()) GTEST_SKIP() << "no chromium here: apt install chromium"

// The document after its scripts, and then `more`, have run.
std::string document_of(std::string page, const std::string& more = "") {
  const TempDir dir;
  page.insert(page.rfind("</body>"), "<script>" + more + "</script>");
  std::ofstream(dir / "page.html") << page;
  const Finished run = shell(
      "timeout 120 '" + browser() + "' --headless --no-sandbox --disable-gpu --user-data-dir='" +
      dir / "profile" + "' --window-size=1200,900 --dump-dom 'file://" + dir / "page.html" + "'");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  return run.out;
}

// The value of `name="..."`, the first in the document.
std::string attribute(const std::string& document, const std::string& name) {
  std::smatch match;
  const bool found = std::regex_search(document, match, std::regex(" " + name + "=\"([^\"]*)\""));
  return found ? match[1].str() : "nothing";
}

// Puts the text of an element where `attribute` finds it.
std::string note(const std::string& name, const std::string& expression) {
  return "document.body.dataset." + name + " = " + expression + ";";
}

// As a mouse would: the pointer over the middle of a block.
std::string pointer_over(size_t block) {
  return "{ const b = blocks[" + std::to_string(block) + R"(];
    byId('chart').dispatchEvent(new MouseEvent('pointermove', {
      clientX: byId('chart').getBoundingClientRect().left + toX((b.first + b.last) / 2),
      clientY: byId('chart').getBoundingClientRect().top + toY(b.offset + b.bytes / 2)})); })";
}

std::string key(const std::string& name) {
  return "byId('chart').dispatchEvent(new KeyboardEvent('keydown', {key: '" + name + "'}));";
}

PlanTimeline real_timeline() {
  TrainOptions options;
  options.model.name = "mobilenet_v1_patch";
  options.model.batch = 2;
  options.threads = 1;
  return plan_timeline(options);
}

TEST(Browser, DrawsEveryBlockOfARealPlanAndSaysWhatIsUnderThePointer) {
  NEEDS_BROWSER();
  const PlanTimeline timeline = real_timeline();
  size_t largest = 0;  // of those that do not live for ever
  for (size_t b = 0; b < timeline.blocks.size(); ++b) {
    const TimelineBlock& block = timeline.blocks[b];
    const bool transient = block.last_step < std::ssize(timeline.steps);
    if (transient && block.bytes > timeline.blocks[largest].bytes) largest = b;
    if (transient && timeline.blocks[largest].last_step == std::ssize(timeline.steps)) largest = b;
  }
  const std::string document = document_of(
      timeline_html(timeline), pointer_over(largest) + note("tip", "byId('tip').textContent"));
  EXPECT_GT(timeline.blocks.size(), 100u);
  EXPECT_EQ(attribute(document, "data-drawn"), std::to_string(timeline.blocks.size()));
  EXPECT_EQ(attribute(document, "data-errors"), "0");
  const TimelineBlock& block = timeline.blocks[largest];
  const std::string tip = attribute(document, "data-tip");
  EXPECT_EQ(tip.find(block.tensors[0].name), 0u) << tip;
  EXPECT_NE(tip.find(block.category + ", "), tip.npos) << tip;
  EXPECT_NE(tip.find("(" + std::to_string(block.bytes) + ") at offset " +
                     std::to_string(block.offset) + "\n"),
            tip.npos)
      << tip;
  EXPECT_NE(tip.find("steps [" + std::to_string(block.first_step) + ", " +
                     std::to_string(block.last_step) + "): "),
            tip.npos)
      << tip;
}

TEST(Browser, HoverTextIsExact) {
  NEEDS_BROWSER();
  const std::string document = document_of(
      timeline_html(made_up_timeline()), pointer_over(2) + note("tip", "byId('tip').textContent"));
  EXPECT_EQ(attribute(document, "data-tip"),
            "a, then b\ntemporaries, 4 f32, then scalar i32\n4.00 KiB (4096) at offset 3145728\n"
            "steps [1, 2): backward conv2d stem to backward conv2d stem");
}

TEST(Browser, KeysSelectAndFiltersHide) {
  NEEDS_BROWSER();
  const std::string document = document_of(
      timeline_html(made_up_timeline()),
      key("ArrowRight") + note("first", "byId('details').textContent") + key("ArrowUp") +
          note("second", "byId('details').textContent") + key("+") + key("p") + key("0") +
          "document.querySelector('[data-category=scratchpad]').click();");
  EXPECT_EQ(attribute(document, "data-first").find("stem.conv\nsaved, 2x8x16x16 f32\n"), 0u);
  EXPECT_EQ(attribute(document, "data-second").find("a, then b\n"), 0u);
  EXPECT_EQ(attribute(document, "data-drawn"), "3");
  EXPECT_EQ(attribute(document, "data-errors"), "0");
}

TEST(Browser, ListsWhatTechniquesSaveAndCost) {
  NEEDS_BROWSER();
  const std::string document =
      document_of(timeline_html(made_up_timeline()),
                  note("first", "byId('uses').tBodies[0].rows[0].textContent") +
                      note("second", "byId('uses').tBodies[0].rows[1].textContent"));
  EXPECT_EQ(attribute(document, "data-first"), "order4.00 KiBearly_update");
  EXPECT_EQ(attribute(document, "data-second"),
            "recompute\xE2\x88\x92"
            "8.00 KiB+2.00 ms1 of 1");
}

TEST(Browser, ErrorsAreSeen) {
  NEEDS_BROWSER();
  EXPECT_EQ(attribute(document_of(timeline_html(made_up_timeline()), "nothing();"), "data-errors"),
            "1");
}

TEST(Browser, DrawsThousandsOfBlocks) {
  NEEDS_BROWSER();
  PlanTimeline timeline = made_up_timeline();
  for (int i = 0; i < 5000; ++i) {
    timeline.blocks.push_back({{{"t" + std::to_string(i), {16}, "f32"}},
                               "temporaries",
                               64,
                               mebibytes(3) + 8192 + 64 * i,
                               0,
                               1});
  }
  const std::string document = document_of(timeline_html(timeline));
  EXPECT_EQ(attribute(document, "data-drawn"), "5004");
  EXPECT_EQ(attribute(document, "data-errors"), "0");
}

TEST(Browser, NamesRunNoScript) {
  NEEDS_BROWSER();
  const std::string evil = "</script><img src=x onerror=\"document.body.dataset.evil=1\"><b>";
  PlanTimeline timeline = made_up_timeline(evil);
  timeline.options.model.name = evil;
  timeline.plan.techniques = {evil};
  const std::string document = document_of(timeline_html(timeline), pointer_over(1));
  EXPECT_EQ(attribute(document, "data-drawn"), "4");
  EXPECT_EQ(attribute(document, "data-evil"), "nothing");
  EXPECT_EQ(document.find("<img"), document.npos);
}

TEST(Browser, FrontierShowsEveryPoint) {
  NEEDS_BROWSER();
  TrainOptions options;
  options.budget_bytes = mebibytes(64);
  const std::string document = document_of(
      frontier_html(made_up_frontier(), options, {"quiet", {{"other", mebibytes(300), 0.02}}}),
      note("planned", "document.querySelectorAll('.planned').length") +
          note("estimates", "document.querySelectorAll('.estimate').length") +
          note("measured", "document.querySelectorAll('.measured').length") +
          note("rows", "byId('rows').rows[1].textContent"));
  EXPECT_EQ(attribute(document, "data-planned"), "2");
  EXPECT_EQ(attribute(document, "data-estimates"), "1");
  EXPECT_EQ(attribute(document, "data-measured"), "1");
  EXPECT_EQ(attribute(document, "data-errors"), "0");
  EXPECT_EQ(attribute(document, "data-rows"),
            "40.0 MiB24.0 MiB15.0 ms1.50xsame_mathmicrobatch: 2 of 8 \xE2\x97\x80 fits the budget");
}

TEST(Browser, TheConfusionMatrixHasACellForEachPairOfClasses) {
  NEEDS_BROWSER();
  EvalReport report;
  report.evaluated = true;
  report.weights_file = "<b>model</b>";
  report.classes = {{"rose", 4, 3, 4}, {"tulip", 2, 1, 2}};
  report.confusion = {3, 1, 1, 1};
  const std::string document =
      document_of(confusion_html(report),
                  note("cells", "document.querySelectorAll('#matrix rect').length") +
                      note("row", "byId('classes').rows[1].textContent") +
                      note("tip", "document.querySelectorAll('#matrix title')[2].textContent"));
  EXPECT_EQ(attribute(document, "data-cells"), "4");
  EXPECT_EQ(attribute(document, "data-row"), "tulip2150.0%50.0%");
  EXPECT_EQ(attribute(document, "data-tip"), "tulip\ntaken for rose: 1 of 2 (50.0%)");
  EXPECT_EQ(attribute(document, "data-errors"), "0");
}

TEST(Browser, AStackHasABarForEachConfigurationAndARowOfItsFigures) {
  NEEDS_BROWSER();
  StackStep first, second, none;
  first.name = "C1";
  first.title = "all of it";
  first.plan = made_up_plan(0);
  first.peak_rss_bytes = mebibytes(79);
  first.source_bytes = mebibytes(790);
  second = first;
  second.name = "C2";
  second.title = "<b>less</b>";
  second.peak_rss_bytes = mebibytes(7.9);
  second.seconds_per_image = 0.0125;
  second.accuracy = 0.875;
  none.name = "C3";
  none.problem = "no such data";
  const std::string document = document_of(
      stack_html({first, second, none}, "a stack"),
      note("pieces", "document.querySelectorAll('.track span').length") +
          note("less", "byId('figures').textContent") +
          note("row", "byId('rows').rows[1].textContent") +
          note("none", "byId('bars').lastChild.textContent") + "byId('ratio').click();" +
          note("width",
               "Math.round(10 * document.querySelectorAll('.track')[1].clientWidth / "
               "[...document.querySelectorAll('.track')[1].children].reduce("
               "(sum, p) => sum + p.getBoundingClientRect().width, 0))"));
  EXPECT_EQ(attribute(document, "data-errors"), "0");
  EXPECT_EQ(attribute(document, "data-pieces"), "16");  // of fixed and seven categories, twice
  EXPECT_NE(attribute(document, "data-less").find("100x"), std::string::npos);
  const std::string row = attribute(document, "data-row");
  EXPECT_NE(row.find("&lt;b&gt;less&lt;/b&gt;"), std::string::npos) << row;
  EXPECT_NE(row.find("12.5 ms23,508,0322,350,8030.8750bit_exact"), std::string::npos) << row;
  EXPECT_EQ(attribute(document, "data-none"), "no such data");
  EXPECT_EQ(attribute(document, "data-width"), "100");  // by bytes: a tenth of the track
}

TEST(Browser, ReversibilityShowsEveryMap) {
  NEEDS_BROWSER();
  Reversibility found;
  found.least_measured_db = 12;
  found.tensors = {{.name = "layer2.add1",
                    .layer = "layer2.norm1",
                    .inverted = true,
                    .measured_db = 90,
                    .predicted_db = 95,
                    .loss_db = 8,
                    .predicted_loss_db = 7.5},
                   {.name = "layer1.<b>", .layer = "layer2.add1"},
                   {.name = "stem",
                    .layer = "layer1.add1",
                    .inverted = true,
                    .measured_db = -12,
                    .predicted_db = 3}};
  const std::string document =
      document_of(reversibility_html(found),
                  note("dots", "document.querySelectorAll('circle.measured').length") +
                      note("rows", "byId('rows').rows.length") +
                      note("name", "byId('rows').rows[1].cells[0].textContent"));
  EXPECT_EQ(attribute(document, "data-errors"), "0");
  EXPECT_EQ(attribute(document, "data-dots"), "3");
  EXPECT_EQ(attribute(document, "data-rows"), "3");
  EXPECT_EQ(attribute(document, "data-name"), "layer1.<b>");
}

TEST(Browser, AProfileShowsEveryBlockInTwoConventions) {
  NEEDS_BROWSER();
  Profile profile = made_up_block_profile();
  profile.blocks[1].name = "layer1.<b>";
  const std::string document = document_of(
      profile_html(profile), note("bars", "document.querySelectorAll('g.block').length") +
                                 note("rows", "byId('rows').rows.length") +
                                 note("name", "byId('rows').rows[1].cells[0].textContent") +
                                 note("peak", "byId('rows').rows[1].cells[3].textContent") +
                                 note("note", "byId('rows').rows[1].cells[7].textContent"));
  EXPECT_EQ(attribute(document, "data-errors"), "0");
  EXPECT_EQ(attribute(document, "data-bars"), "6");
  EXPECT_EQ(attribute(document, "data-rows"), "4");
  EXPECT_EQ(attribute(document, "data-name"), "layer1.<b>");
  EXPECT_EQ(attribute(document, "data-peak"), "5.720");
  EXPECT_EQ(attribute(document, "data-note"), "sensitive");
}

TEST(Browser, AStudyShowsEveryTable) {
  NEEDS_BROWSER();
  const std::vector<StudyTable> tables = {
      {"bytes", "Bytes", "batch 4", {"kept", "rebuilt"}, {{"a", {10, 5}}, {"b", {3, NAN}}}},
      {"snr", "Errors", "dB", {"measured"}, {{"a", {INFINITY}}}}};
  const std::string document = document_of(
      study_html(tables, "made up"), note("cards", "document.querySelectorAll('section').length") +
                                         note("rows", "document.querySelectorAll('tr').length"));
  EXPECT_EQ(attribute(document, "data-errors"), "0");
  EXPECT_EQ(attribute(document, "data-cards"), "2");
  EXPECT_EQ(attribute(document, "data-rows"), "5");
}

}  // namespace
}  // namespace thimble::report_test
