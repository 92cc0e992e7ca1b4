// What is left of the limits while one spec is compiled.
#pragma once

#include <cstddef>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "constrain/grammar_compiler.h"

namespace millrace {

// One thread. Everything that grows with a spec goes through spend_*.
class CompileBudget {
 public:
  CompileBudget(const GrammarLimits& limits, const Clock& clock)
      : limits_(limits), clock_(clock), deadline_(clock.now() + limits.compile_time_max) {}

  const GrammarLimits& limits() const { return limits_; }

  Status spend_expressions(std::size_t count) {
    num_expressions_ += count;
    if (num_expressions_ > limits_.num_expressions_max) {
      return Error{ErrorCode::kTooLarge, "grammar needs more than " +
                                             std::to_string(limits_.num_expressions_max) +
                                             " expressions"};
    }
    return count_work(count);
  }
  Status spend_states(std::size_t count) {
    num_states_ += count;
    if (num_states_ > limits_.num_states_max) {
      return Error{ErrorCode::kTooLarge,
                   "grammar needs more than " + std::to_string(limits_.num_states_max) + " states"};
    }
    return count_work(count);
  }
  // Looks at the clock once in a while.
  Status count_work(std::size_t count) {
    constexpr std::size_t kWorkBetweenLooks = 1024;
    work_ += count;
    if (work_ < kWorkBetweenLooks) return Ok{};
    work_ = 0;
    if (clock_.now() <= deadline_) return Ok{};
    return Error{ErrorCode::kDeadlineExceeded,
                 "grammar took longer than " + std::to_string(limits_.compile_time_max.count()) +
                     " ms to compile"};
  }

 private:
  GrammarLimits limits_;
  const Clock& clock_;
  TimePoint deadline_;
  std::size_t num_expressions_ = 0;
  std::size_t num_states_ = 0;
  std::size_t work_ = 0;
};

}  // namespace millrace
