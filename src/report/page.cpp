// Puts the parts of a page together under one style.
#include "report/page.h"

#include <utility>

#include "report/html.h"

namespace millrace {
namespace {

// The policy forbids a browser to load or run anything, should something have slipped through.
constexpr const char* kHead =
    "<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<style>\n"
    "body{font:15px/1.45 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}\n"
    "table{border-collapse:collapse;margin:1em 0}\n"
    "caption{text-align:left;font-weight:bold;padding:.3em 0}\n"
    "th,td{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:left}\n"
    ".number{text-align:right;font-variant-numeric:tabular-nums}\n"
    "svg{width:100%;height:auto;margin:1em 0;border:1px solid #eee}\n"
    "</style>\n";

}  // namespace

HtmlPage::HtmlPage(std::string title) : title_(std::move(title)) {}

void HtmlPage::add_heading(const std::string& text) {
  body_ += "<h2>" + escape_html(text) + "</h2>\n";
}

void HtmlPage::add_paragraph(const std::string& text) {
  body_ += "<p>" + escape_html(text) + "</p>\n";
}

void HtmlPage::add_table(const Table& table) {
  body_ += table_html(table);
}

void HtmlPage::add_plot(const LinePlot& plot) {
  body_ += line_plot_svg(plot);
}

void HtmlPage::add_plot(const HistogramPlot& plot) {
  body_ += histogram_svg(plot);
}

std::string HtmlPage::text() const {
  const std::string title = escape_html(title_);
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>" + title + "</title>\n" + kHead +
         "</head>\n<body>\n<h1>" + title + "</h1>\n" + body_ + "</body>\n</html>\n";
}

}  // namespace millrace
