// Ticks at round numbers.
#include "report/scale.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace millrace {

Scale make_scale(double low, double high, std::size_t num_ticks_max) {
  CHECK(std::isfinite(low) && std::isfinite(high));
  CHECK(low <= high);
  CHECK(num_ticks_max >= 2);
  // Beyond this the differences of doubles lose the digits that a plot shows.
  constexpr double kSizeMax = 1e300;
  low = std::clamp(low, -kSizeMax, kSizeMax);
  high = std::clamp(high, -kSizeMax, kSizeMax);
  const double size = std::max(std::abs(low), std::abs(high));
  if (high - low <= size * 1e-12) {
    const double room = size == 0 ? 1 : size * 0.1;
    low -= room;
    high += room;
  }
  double power = std::pow(10.0, std::floor(std::log10((high - low) / 100)));
  for (;; power *= 10) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double step = digit * power;
      const double first = std::floor(low / step + 1e-9);
      const double last = std::ceil(high / step - 1e-9);
      if (last - first + 1 > static_cast<double>(num_ticks_max) || last <= first) continue;
      Scale scale{.low = first * step, .high = last * step, .ticks = {}};
      for (double i = first; i <= last; ++i) scale.ticks.push_back(i * step);
      return scale;
    }
  }
}

}  // namespace millrace
