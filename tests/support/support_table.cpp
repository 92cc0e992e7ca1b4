// Rows as files in the build folder.
#include "support/support_table.h"

#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace millrace {
namespace {

// A file name that differs where the names do in more than punctuation.
std::string file_name(const SupportRow& row) {
  std::string name = row.area + "--" + row.name;
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0 && letter != '-' && letter != '.') {
      letter = '_';
    }
  }
  return name;
}

std::string shown_count(const SupportRow& row) {
  if (row.num_all == 0) return "-";
  return std::to_string(row.num_equal) + " / " + std::to_string(row.num_all);
}

}  // namespace

void record_support(const SupportRow& row) {
  char line[512];
  std::snprintf(line, sizeof line, "%-10s  %-44s %13s  %s", row.area.c_str(), row.name.c_str(),
                shown_count(row).c_str(), row.note.c_str());
  std::string text = line;
  text.erase(text.find_last_not_of(' ') + 1);
  std::printf("%s\n", text.c_str());
  std::error_code ignored;  // A build folder that cannot be written to fails the stream below.
  std::filesystem::create_directories(MILLRACE_SUPPORT_FOLDER, ignored);
  std::ofstream(std::string(MILLRACE_SUPPORT_FOLDER) + "/" + file_name(row)) << text << "\n";
}

}  // namespace millrace
