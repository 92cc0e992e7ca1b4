// One HTML page that stands alone: no script, no font, no picture from outside.
#pragma once

#include <string>

#include "report/plot.h"
#include "report/table.h"

namespace millrace {

// Parts appear in the order in which they were added.
class HtmlPage {
 public:
  explicit HtmlPage(std::string title);

  void add_heading(const std::string& text);
  void add_paragraph(const std::string& text);
  void add_table(const Table& table);
  void add_plot(const LinePlot& plot);
  void add_plot(const HistogramPlot& plot);

  // The whole file.
  std::string text() const;

 private:
  std::string title_;
  std::string body_;
};

}  // namespace millrace
