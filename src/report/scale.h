// Where the ticks of an axis lie.
#pragma once

#include <cstddef>
#include <vector>

namespace millrace {

// From `low` to `high`, both ticks themselves; low < high.
struct Scale {
  double low = 0;
  double high = 1;
  std::vector<double> ticks;  // rising, at 1, 2 or 5 times a power of ten apart

  // 0 at low, 1 at high.
  double position(double value) const { return (value - low) / (high - low); }
};

// The smallest such scale that holds both finite values with at most `num_ticks_max` (from 2 on)
// ticks; a scale around the value when both are equal.
Scale make_scale(double low, double high, std::size_t num_ticks_max = 8);

}  // namespace millrace
