// Draws axes, lines and bars as SVG elements.
#include "report/plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "report/html.h"
#include "report/scale.h"

namespace millrace {
namespace {

//  0        kLeft                                   kWidth - kRight   kWidth
//  +----------+-----------------------------------------+----------+
//  |          | title, legend                                      |
//  |   y      +-----------------------------------------+ kTop     |
//  |  ticks   |  the plot's area                        |          |
//  |          +-----------------------------------------+ kHeight - kBottom
//  |            x ticks, x label                                   |
//  +---------------------------------------------------------------+ kHeight
constexpr double kWidth = 760;
constexpr double kHeight = 340;
constexpr double kLeft = 76;
constexpr double kRight = 20;
constexpr double kTop = 52;
constexpr double kBottom = 48;
constexpr double kAreaWidth = kWidth - kLeft - kRight;
constexpr double kAreaHeight = kHeight - kTop - kBottom;

// Okabe & Ito 2008, "Color Universal Design": told apart with every kind of colour vision.
constexpr std::array<const char*, 7> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                 "#e69f00", "#56b4e9", "#000000"};

struct Axes {
  Scale x;
  Scale y;

  double x_pixel(double value) const { return kLeft + kAreaWidth * x.position(value); }
  double y_pixel(double value) const { return kTop + kAreaHeight * (1 - y.position(value)); }
};

// A pixel position; a tenth of a pixel cannot be seen.
std::string pixel(double value) {
  return number_text(std::round(value * 10) / 10);
}

std::string text_element(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + pixel(x) + "\" y=\"" + pixel(y) + "\" text-anchor=\"" + anchor + "\">" +
         escape_html(text) + "</text>\n";
}

std::string line_element(double x1, double y1, double x2, double y2) {
  return "<line x1=\"" + pixel(x1) + "\" y1=\"" + pixel(y1) + "\" x2=\"" + pixel(x2) + "\" y2=\"" +
         pixel(y2) + "\" stroke=\"#ddd\"/>\n";
}

std::string svg_begin(const std::string& title) {
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 " + pixel(kWidth) +
         " " + pixel(kHeight) +
         "\" font-family=\"sans-serif\" font-size=\"12\">\n"
         "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
         "<g font-size=\"15\" font-weight=\"bold\">" +
         text_element(kLeft, 20, "start", title) + "</g>\n";
}

std::string draw_axes(const Axes& axes, const std::string& x_label, const std::string& y_label) {
  std::string svg;
  for (const double tick : axes.x.ticks) {
    const double x = axes.x_pixel(tick);
    svg += line_element(x, kTop, x, kTop + kAreaHeight);
    svg += text_element(x, kTop + kAreaHeight + 16, "middle", number_text(tick));
  }
  for (const double tick : axes.y.ticks) {
    const double y = axes.y_pixel(tick);
    svg += line_element(kLeft, y, kLeft + kAreaWidth, y);
    svg += text_element(kLeft - 6, y + 4, "end", number_text(tick));
  }
  svg += text_element(kLeft + kAreaWidth / 2, kHeight - 8, "middle", x_label);
  svg += "<g transform=\"rotate(-90 14 " + pixel(kTop + kAreaHeight / 2) + ")\">" +
         text_element(14, kTop + kAreaHeight / 2, "middle", y_label) + "</g>\n";
  return svg;
}

std::string no_points() {
  return text_element(kWidth / 2, kHeight / 2, "middle", "no values") + "</svg>\n";
}

std::string polyline(const Axes& axes, const std::vector<PlotPoint>& points, Lines lines,
                     const char* colour) {
  std::string svg = std::string("<polyline fill=\"none\" stroke=\"") + colour +
                    "\" stroke-width=\"1.5\" points=\"";
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (i > 0 && lines == Lines::kSteps) {
      svg += " " + pixel(axes.x_pixel(points[i].x)) + "," + pixel(axes.y_pixel(points[i - 1].y));
    }
    svg += (i > 0 ? " " : "") + pixel(axes.x_pixel(points[i].x)) + "," +
           pixel(axes.y_pixel(points[i].y));
  }
  return svg + "\"/>\n";
}

std::string legend(const std::vector<PlotSeries>& series) {
  std::string svg;
  double x = kLeft;
  for (std::size_t i = 0; i < series.size(); ++i) {
    svg += "<rect x=\"" + pixel(x) + "\" y=\"32\" width=\"10\" height=\"10\" fill=\"" +
           kColours[i % kColours.size()] + "\"/>\n";
    svg += text_element(x + 14, 41, "start", series[i].name);
    x += 30 + 7.0 * static_cast<double>(series[i].name.size());
  }
  return svg;
}

// The range of what will be drawn; nothing when there is no point.
bool find_range(const std::vector<std::vector<PlotPoint>>& all, PlotPoint& low, PlotPoint& high) {
  bool is_first = true;
  for (const auto& points : all) {
    for (const PlotPoint& point : points) {
      low = is_first ? point : PlotPoint{std::min(low.x, point.x), std::min(low.y, point.y)};
      high = is_first ? point : PlotPoint{std::max(high.x, point.x), std::max(high.y, point.y)};
      is_first = false;
    }
  }
  return !is_first;
}

}  // namespace

std::vector<PlotPoint> thinned(std::span<const PlotPoint> points, std::size_t num_columns) {
  CHECK(num_columns > 0);
  std::vector<PlotPoint> finite;
  for (const PlotPoint& point : points) {
    if (std::isfinite(point.x) && std::isfinite(point.y)) finite.push_back(point);
  }
  if (finite.size() <= 4 * num_columns) return finite;
  const double low = finite.front().x;
  const double width = finite.back().x - low;
  const auto column_of = [&](const PlotPoint& point) {
    const double part = width > 0 ? (point.x - low) / width : 0;
    return static_cast<std::size_t>(std::clamp(part, 0.0, 1.0) *
                                    static_cast<double>(num_columns - 1));
  };
  const auto is_lower = [](const PlotPoint& a, const PlotPoint& b) { return a.y < b.y; };
  std::vector<PlotPoint> kept;
  for (std::size_t begin = 0; begin < finite.size();) {
    std::size_t end = begin + 1;
    while (end < finite.size() && column_of(finite[end]) == column_of(finite[begin])) ++end;
    const auto first = finite.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = finite.begin() + static_cast<std::ptrdiff_t>(end);
    const auto ends = std::minmax_element(first, last, is_lower);
    std::array<std::vector<PlotPoint>::iterator, 4> chosen = {first, ends.first, ends.second,
                                                              last - 1};
    std::sort(chosen.begin(), chosen.end());
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      if (i == 0 || chosen[i] != chosen[i - 1]) kept.push_back(*chosen[i]);
    }
    begin = end;
  }
  return kept;
}

std::string line_plot_svg(const LinePlot& plot) {
  std::vector<std::vector<PlotPoint>> all;
  for (const PlotSeries& series : plot.series) {
    all.push_back(thinned(series.points, static_cast<std::size_t>(kAreaWidth) / 2));
  }
  std::string svg = svg_begin(plot.title);
  PlotPoint low;
  PlotPoint high;
  if (!find_range(all, low, high)) return svg + no_points();
  if (low.y >= 0) low.y = 0;
  const Axes axes{make_scale(low.x, high.x), make_scale(low.y, high.y, 6)};
  svg += draw_axes(axes, plot.x_label, plot.y_label);
  for (std::size_t i = 0; i < all.size(); ++i) {
    svg += polyline(axes, all[i], plot.lines, kColours[i % kColours.size()]);
  }
  return svg + legend(plot.series) + "</svg>\n";
}

std::string histogram_svg(const HistogramPlot& plot) {
  CHECK(plot.num_bins > 0);
  std::vector<double> values;
  for (const double value : plot.values) {
    if (std::isfinite(value)) values.push_back(value);
  }
  std::string svg = svg_begin(plot.title);
  if (values.empty()) return svg + no_points();
  const auto ends = std::minmax_element(values.begin(), values.end());
  const Scale x = make_scale(*ends.first, *ends.second);
  std::vector<std::size_t> counts(plot.num_bins);
  for (const double value : values) {
    const double part = std::clamp(x.position(value), 0.0, 1.0);
    const auto bin = static_cast<std::size_t>(part * static_cast<double>(plot.num_bins));
    ++counts[std::min(bin, plot.num_bins - 1)];
  }
  const std::size_t count_max = *std::max_element(counts.begin(), counts.end());
  const Axes axes{x, make_scale(0, static_cast<double>(count_max), 6)};
  svg += draw_axes(axes, plot.x_label, "count");
  const double bin_width = kAreaWidth / static_cast<double>(plot.num_bins);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double top = axes.y_pixel(static_cast<double>(counts[i]));
    svg += "<rect x=\"" + pixel(kLeft + bin_width * static_cast<double>(i)) + "\" y=\"" +
           pixel(top) + "\" width=\"" + pixel(bin_width) + "\" height=\"" +
           pixel(kTop + kAreaHeight - top) + "\" fill=\"" + kColours[0] + "\"/>\n";
  }
  return svg + "</svg>\n";
}

}  // namespace millrace
