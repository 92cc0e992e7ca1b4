// Lays a table out in text or in HTML.
#include "report/table.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "report/html.h"

namespace millrace {
namespace {

// Characters of UTF-8 text: bytes that do not continue one.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string padded(const std::string& text, std::size_t width, Align align) {
  const std::string space(width - std::min(width, width_of(text)), ' ');
  return align == Align::kLeft ? text + space : space + text;
}

std::string text_line(const Table& table, const std::vector<std::string>& cells,
                      const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += "  ";
    line += padded(cells[i], widths[i], table.columns[i].align);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string html_cell(const char* element, const TableColumn& column, const std::string& text) {
  const char* style = column.align == Align::kRight ? " class=\"number\"" : "";
  return std::string("<") + element + style + ">" + escape_html(text) + "</" + element + ">";
}

}  // namespace

void Table::add_row(std::vector<std::string> cells) {
  CHECK(cells.size() == columns.size());
  rows.push_back(std::move(cells));
}

std::string table_text(const Table& table) {
  std::vector<std::string> headings;
  std::vector<std::size_t> widths;
  for (const TableColumn& column : table.columns) {
    headings.push_back(column.heading);
    widths.push_back(width_of(column.heading));
  }
  for (const auto& row : table.rows) {
    CHECK(row.size() == widths.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(row[i]));
    }
  }
  std::vector<std::string> dashes;
  for (const std::size_t width : widths) dashes.emplace_back(width, '-');
  std::string text = table.title.empty() ? "" : table.title + "\n";
  text += text_line(table, headings, widths);
  text += text_line(table, dashes, widths);
  for (const auto& row : table.rows) text += text_line(table, row, widths);
  return text;
}

std::string table_html(const Table& table) {
  std::string html = "<table>\n";
  if (!table.title.empty()) html += "<caption>" + escape_html(table.title) + "</caption>\n";
  html += "<thead><tr>";
  for (const TableColumn& column : table.columns) html += html_cell("th", column, column.heading);
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    CHECK(row.size() == table.columns.size());
    html += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      html += html_cell("td", table.columns[i], row[i]);
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

}  // namespace millrace
