// Numbers that a program keeps about itself: plain atomics that any thread may change.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace millrace {

// Only grows. Any thread.
class Counter {
 public:
  void add(std::uint64_t by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return static_cast<double>(value_.load(std::memory_order_relaxed)); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Goes up and down. Any thread.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double by);
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// How often values fell between bounds, and their sum. Any thread. A reader that comes while
// others write may see a value in its bucket and not yet in the sum.
class Histogram {
 public:
  // Upper bounds, rising.
  explicit Histogram(std::span<const double> bounds);

  void observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  // By bucket, not cumulative; one more than bounds, for what is above the last.
  std::vector<std::uint64_t> counts() const;
  double sum() const { return sum_.value(); }

 private:
  const std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
  Gauge sum_;
};

// From 1 ms to 10 minutes, three per decade: times of requests.
std::span<const double> request_seconds_bounds();
// From 100 us to 10 s: times of steps and between tokens.
std::span<const double> step_seconds_bounds();

}  // namespace millrace
