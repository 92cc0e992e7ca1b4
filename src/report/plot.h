// Plots as SVG text: lines over two axes, and counts in bins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace millrace {

struct PlotPoint {
  double x = 0;
  double y = 0;
};

struct PlotSeries {
  std::string name;
  std::vector<PlotPoint> points;  // by rising x
};

enum class Lines : std::uint8_t {
  kStraight,  // from point to point
  kSteps,     // a value holds until the next point
};

struct LinePlot {
  std::string title;
  std::string x_label;  // with its unit
  std::string y_label;
  Lines lines = Lines::kStraight;
  std::vector<PlotSeries> series;
};

// An <svg> element. The y axis begins at 0 when no value is below; what is not finite is left out.
std::string line_plot_svg(const LinePlot& plot);

struct HistogramPlot {
  std::string title;
  std::string x_label;
  std::vector<double> values;
  std::size_t num_bins = 40;
};

// An <svg> element: how many values lie in each of num_bins (from 1 on) equal bins.
std::string histogram_svg(const HistogramPlot& plot);

// The points of one series thinned to `num_columns` columns of x: first, lowest, highest and last
// of each column, in their order. Points that are not finite are left out.
std::vector<PlotPoint> thinned(std::span<const PlotPoint> points, std::size_t num_columns);

}  // namespace millrace
