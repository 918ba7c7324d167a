#include "report/html.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "made_up_timeline.h"

namespace thimble::report_test {
namespace {

using nlohmann::json;

// What the page's script reads.
json data_of(const std::string& page) {
  const std::string before = R"(<script type="application/json" id="data">)";
  const size_t begin = page.find(before) + before.size();
  return json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

constexpr const char* kEvil = "</script><script>alert('&1')</script><!--\xff{{SCRIPT}}";

TEST(ReportHtml, TimelineHoldsEveryStepAndBlock) {
  const json data = data_of(timeline_html(made_up_timeline()));
  EXPECT_EQ(data["blocks"][2], json::parse(R"({
    "tensors": [{"name": "a", "shape": [4], "type": "f32"},
                {"name": "b", "shape": [], "type": "i32"}],
    "category": "temporaries", "bytes": 4096, "offset": 3145728, "first": 1, "last": 2})"));
  EXPECT_EQ(data["steps"][1], json::parse(R"({"op": "conv2d", "layer": "stem",
                                             "phase": "backward", "again": true})"));
  EXPECT_EQ(data["blocks"].size(), 4u);
  EXPECT_EQ(data["peak_step"], 2);
  EXPECT_EQ(data["plan"]["arena_bytes"], 4194304);
  EXPECT_EQ(data["options"]["batch"], 16);
}

TEST(ReportHtml, NamesCannotBecomeMarkup) {
  const std::string usual = timeline_html(made_up_timeline());
  PlanTimeline timeline = made_up_timeline(kEvil);
  timeline.options.model.name = kEvil;
  const std::string page = timeline_html(timeline);
  for (const char* markup : {"<script", "</script", "<!--", "{{SCRIPT}}"}) {
    EXPECT_EQ(count_of(page.substr(page.find("<style>")), markup),
              count_of(usual.substr(usual.find("<style>")), markup) +
                  (std::string(markup) == "{{SCRIPT}}" ? 2 : 0));
  }
  const std::string name = data_of(page)["blocks"][1]["tensors"][0]["name"];
  EXPECT_EQ(name, "</script><script>alert('&1')</script><!--\xEF\xBF\xBD{{SCRIPT}}");
  EXPECT_NE(page.find("<title>thimble plan: &lt;/script>"), page.npos);
}

TEST(ReportHtml, PagesNeedNothingElse) {
  for (const std::string& page :
       {timeline_html(made_up_timeline()), frontier_html(made_up_frontier(), {}, {})}) {
    EXPECT_EQ(page.find(" src="), page.npos);
    EXPECT_EQ(page.find("href"), page.npos);
    EXPECT_EQ(page.find("url("), page.npos);
    EXPECT_EQ(page.find("{{"), page.npos);
    EXPECT_EQ(count_of(page, "://"), count_of(page, "http://www.w3.org/2000/svg"));
    EXPECT_NE(page.find("default-src 'none'"), page.npos);
  }
}

TEST(ReportHtml, FrontierHoldsPointsAndMeasuredOnes) {
  const json data =
      data_of(frontier_html(made_up_frontier(), {}, {"quiet", {{kEvil, 1 << 20, 0.5}}}));
  EXPECT_EQ(data["points"].size(), 3u);
  EXPECT_EQ(data["points"][2]["slowdown"], 1.5);
  EXPECT_EQ(data["measured"]["settings"], "quiet");
  EXPECT_EQ(data["measured"]["points"][0]["bytes"], 1 << 20);
}

}  // namespace
}  // namespace thimble::report_test
