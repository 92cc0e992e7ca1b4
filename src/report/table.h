// A table as data, shown in a terminal or on a page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace {

enum class Align : std::uint8_t { kLeft, kRight };

struct TableColumn {
  std::string heading;
  Align align = Align::kRight;
};

struct Table {
  std::string title;  // may be empty
  std::vector<TableColumn> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as `columns`

  void add_row(std::vector<std::string> cells);
};

// Columns two spaces apart, as wide as their widest cell (in characters of UTF-8), a line of
// dashes under the headings. Ends in a newline.
std::string table_text(const Table& table);

// A <table> element with everything in it escaped.
std::string table_html(const Table& table);

}  // namespace millrace
