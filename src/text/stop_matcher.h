// Stop strings over a stream of text, holding back what may still become one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace {

// One stream; one thread at a time. The match that ends first wins; among those that end at the
// same byte, the one that starts first. Linear in the bytes pushed (Aho & Corasick 1975).
class StopMatcher {
 public:
  static constexpr std::size_t kStopsMax = 64;
  static constexpr std::size_t kStopBytesMax = 1024;
  // All stop strings together: the automaton takes 1 KiB for each byte.
  static constexpr std::size_t kTotalBytesMax = 4096;

  // kInvalidArgument for an empty stop string, too many of them, or one that is too long.
  static Result<StopMatcher> create(std::vector<std::string> stops);

  struct Output {
    std::string text;                 // Can no longer become part of a stop string.
    std::optional<std::size_t> stop;  // Index of the stop string that ended the stream.
  };
  // After a stop has matched, every further push returns nothing but that stop.
  Output push(std::string_view text);

  // The end of the stream without a stop: what was held back.
  std::string flush();

 private:
  struct Automaton;
  explicit StopMatcher(std::shared_ptr<const Automaton> automaton);

  std::shared_ptr<const Automaton> automaton_;  // Shared by copies: one per choice of a request.
  std::uint32_t state_ = 0;
  std::string held_;
  std::optional<std::size_t> stop_;
};

}  // namespace millrace
