// So much in a window of time, with room for bursts: one limit of one key.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace millrace {

// Begins full and fills at the pace of `amount` per `window`, never above `amount`. What is taken
// may go below zero: what an answer costs is known only when it has ended, and whoever owes waits.
// A value; the caller brings the time, which does not go back.
class TokenBucket {
 public:
  TokenBucket(std::uint64_t amount, Duration window, TimePoint now)
      : amount_(static_cast<double>(amount)),
        window_(window),
        level_(static_cast<double>(amount)),
        filled_(now) {}

  // Whether there is one at least.
  bool has_some(TimePoint now);
  void take(std::uint64_t amount, TimePoint now);
  // Until has_some().
  Duration wait(TimePoint now);

  std::uint64_t amount() const { return static_cast<std::uint64_t>(amount_); }

 private:
  void fill(TimePoint now);

  double amount_;
  Duration window_;
  double level_;
  TimePoint filled_;
};

}  // namespace millrace
