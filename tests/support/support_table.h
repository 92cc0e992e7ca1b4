// What the tests found to be supported: one row a vocabulary, template, GGUF type or family.
//
// Each row is printed by its test and kept as a file of its own, so that `./mill test` can print
// the whole table afterwards, whichever test programs ran, in whichever order and at once.
#pragma once

#include <cstddef>
#include <string>

namespace millrace {

struct SupportRow {
  std::string area;  // "vocabulary", "template", "GGUF type", "family"
  std::string name;
  std::size_t num_equal = 0;
  std::size_t num_all = 0;  // 0: not supported or nothing to compare with; `note` says which
  std::string note;
};

// Replaces an older row of the same area and name.
void record_support(const SupportRow& row);

}  // namespace millrace
