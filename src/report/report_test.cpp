// Escaping, table layout, ticks, thinning, and what a plot and a page contain.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "report/html.h"
#include "report/page.h"
#include "report/plot.h"
#include "report/scale.h"
#include "report/table.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(EscapeHtml, LeavesNoMarkup) {
  EXPECT_EQ(escape_html("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(escape_html("tab\tline\n"), "tab\tline\n");
  EXPECT_EQ(escape_html(std::string("\x01\0\x7F", 3)), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(escape_html("caf\xC3\xA9"), "caf\xC3\xA9");
}

TEST(NumberText, IsShortAndPlain) {
  EXPECT_EQ(number_text(0), "0");
  EXPECT_EQ(number_text(0.25), "0.25");
  EXPECT_EQ(number_text(1.0 / 3), "0.333333");
  EXPECT_EQ(number_text(12'345'678), "12345678");
  EXPECT_EQ(number_text(-1500), "-1500");
  EXPECT_EQ(number_text(2e-7), "2e-07");
}

TEST(TableText, AlignsByCharactersNotBytes) {
  Table table{.title = "t", .columns = {{"name", Align::kLeft}, {"n"}}, .rows = {}};
  table.add_row({"caf\xC3\xA9", "1"});
  table.add_row({"x", "100"});
  EXPECT_EQ(table_text(table),
            "t\n"
            "name    n\n"
            "----  ---\n"
            "caf\xC3\xA9    1\n"
            "x     100\n");
}

TEST(TableHtml, EscapesEveryCell) {
  Table table{.title = "<t>", .columns = {{"<h>", Align::kLeft}}, .rows = {}};
  table.add_row({"<script>"});
  const std::string html = table_html(table);
  EXPECT_THAT(html, Not(HasSubstr("<t>")));
  EXPECT_THAT(html, Not(HasSubstr("<h>")));
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;"));
}

TEST(Scale, HasRoundTicksAroundTheValues) {
  EXPECT_THAT(make_scale(0, 1, 6).ticks, ElementsAre(0, 0.2, 0.4, 0.6000000000000001, 0.8, 1));
  EXPECT_THAT(make_scale(3, 47, 6).ticks, ElementsAre(0, 10, 20, 30, 40, 50));
  EXPECT_THAT(make_scale(-5, 5, 3).ticks, ElementsAre(-5, 0, 5));
}

TEST(Scale, HoldsBothEndsForAnyValues) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const double size = std::pow(10.0, random.uniform() * 40 - 20);
    double low = (random.uniform() - 0.5) * size;
    double high = low + (random.chance(0.1) ? 0 : random.uniform() * size);
    const Scale scale = make_scale(low, high, 7);
    ASSERT_LT(scale.low, scale.high);
    ASSERT_GE(scale.ticks.size(), 2u);
    ASSERT_LE(scale.ticks.size(), 7u);
    const double rounding = 1e-6 * (scale.high - scale.low);
    ASSERT_LE(scale.low, low + rounding) << low << " " << high;
    ASSERT_GE(scale.high, high - rounding) << low << " " << high;
  }
  const Scale widest = make_scale(-1e308, 1e308);
  EXPECT_LT(widest.low, widest.high);
}

TEST(Thinned, KeepsExtremesAndLeavesOutWhatIsNotFinite) {
  std::vector<PlotPoint> points;
  for (int i = 0; i < 10'000; ++i) points.push_back({double(i), i == 5001 ? 99.0 : i % 3});
  points.push_back({10'000, kNaN});
  points.push_back({kInfinity, 1});
  const std::vector<PlotPoint> kept = thinned(points, 50);
  EXPECT_LE(kept.size(), 200u);
  double highest = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    highest = std::max(highest, kept[i].y);
    if (i > 0) {
      EXPECT_LT(kept[i - 1].x, kept[i].x);
    }
  }
  EXPECT_EQ(highest, 99.0);
  EXPECT_EQ(kept.front().x, 0);
  EXPECT_EQ(kept.back().x, 9999);
}

TEST(LinePlotSvg, DrawsEachSeriesAndEscapesLabels) {
  LinePlot plot{.title = "a<b",
                .x_label = "time (s)",
                .y_label = "y",
                .lines = Lines::kStraight,
                .series = {{"one", {{0, 0}, {1, 2}}}, {"</svg>", {{0, 1}, {1, kNaN}}}}};
  const std::string svg = line_plot_svg(plot);
  EXPECT_EQ(count_of(svg, "<polyline"), 2u);
  EXPECT_EQ(count_of(svg, "</svg>"), 1u);
  EXPECT_THAT(svg, HasSubstr("a&lt;b"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(LinePlotSvg, StepsHoldTheirValue) {
  LinePlot plot{.title = "", .x_label = "", .y_label = "", .series = {{"s", {{0, 0}, {8, 4}}}}};
  const std::string straight = line_plot_svg(plot);
  plot.lines = Lines::kSteps;
  const std::string steps = line_plot_svg(plot);
  // Area: x 76 to 740, y 52 to 292. Along the bottom first, then up.
  EXPECT_THAT(straight, HasSubstr("points=\"76,292 740,52\""));
  EXPECT_THAT(steps, HasSubstr("points=\"76,292 740,292 740,52\""));
}

TEST(LinePlotSvg, SaysWhenThereIsNothing) {
  EXPECT_THAT(line_plot_svg({.title = "t", .x_label = "", .y_label = "", .series = {}}),
              HasSubstr("no values"));
  EXPECT_THAT(histogram_svg({.title = "t", .x_label = "", .values = {kNaN}}),
              HasSubstr("no values"));
}

TEST(HistogramSvg, HasABarPerBin) {
  HistogramPlot plot{.title = "h", .x_label = "x", .values = {0, 1, 1, 4}, .num_bins = 4};
  const std::string svg = histogram_svg(plot);
  EXPECT_EQ(count_of(svg, "fill=\"#0072b2\""), 4u);
}

TEST(HtmlPage, StandsAlone) {
  HtmlPage page("<title>");
  page.add_heading("a & b");
  page.add_paragraph("<img src=x>");
  page.add_plot(LinePlot{.title = "p", .x_label = "", .y_label = "", .series = {}});
  const std::string html = page.text();
  EXPECT_THAT(html, HasSubstr("<h2>a &amp; b</h2>"));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("src=\"")));
  EXPECT_THAT(html, Not(HasSubstr("href=")));
  EXPECT_EQ(count_of(html, "</html>"), 1u);
}

}  // namespace
}  // namespace millrace
