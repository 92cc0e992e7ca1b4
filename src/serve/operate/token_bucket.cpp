// Filling by the time that passed.
#include "serve/operate/token_bucket.h"

#include <algorithm>
#include <cmath>

namespace millrace {

void TokenBucket::fill(TimePoint now) {
  if (now <= filled_) return;
  level_ = std::min(amount_, level_ + amount_ * (seconds(now - filled_) / seconds(window_)));
  filled_ = now;
}

bool TokenBucket::has_some(TimePoint now) {
  fill(now);
  return level_ >= 1;
}

void TokenBucket::take(std::uint64_t amount, TimePoint now) {
  fill(now);
  level_ -= static_cast<double>(amount);
}

Duration TokenBucket::wait(TimePoint now) {
  if (has_some(now)) return Duration{0};
  const double part = (1 - level_) / amount_;
  // A debt of more than a year is no longer told apart.
  const double seconds_max = 365.0 * 86400.0;
  const double wait_seconds = std::min(part * seconds(window_), seconds_max);
  return Duration{std::llround(std::ceil(wait_seconds * 1e9))};
}

}  // namespace millrace
