// A merge sort from below: no recursion, and no trust in the comparison.
#include "text/jinja/sort.h"

#include <algorithm>

namespace millrace::jinja {

Result<std::vector<std::size_t>> sort_places(Sandbox& sandbox, std::size_t num_places,
                                             ComesBefore comes_before) {
  TRY(sandbox.reserve(2 * num_places * sizeof(std::size_t)));
  TRY(sandbox.spend_items(num_places));
  std::vector<std::size_t> sorted(num_places);
  for (std::size_t i = 0; i < num_places; ++i) sorted[i] = i;
  std::vector<std::size_t> merged(num_places);
  for (std::size_t run = 1; run < num_places; run *= 2) {
    for (std::size_t start = 0; start < num_places; start += 2 * run) {
      const std::size_t middle = std::min(start + run, num_places);
      const std::size_t end = std::min(start + 2 * run, num_places);
      std::size_t left = start;
      std::size_t right = middle;
      for (std::size_t i = start; i < end; ++i) {
        bool takes_right = left == middle;
        if (left < middle && right < end)
          takes_right = TRY(comes_before(sorted[right], sorted[left]));
        merged[i] = sorted[takes_right ? right++ : left++];
      }
    }
    sorted.swap(merged);
  }
  return sorted;
}

}  // namespace millrace::jinja
