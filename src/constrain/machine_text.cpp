// Whether all plain characters lead from a state to the same place.
#include "constrain/machine_text.h"

#include <optional>

#include "constrain/text_tokens.h"

namespace millrace {
namespace {

constexpr std::uint8_t kTailFirst = 0x80;  // of the bytes behind a character's first
constexpr std::uint8_t kTailLast = 0xBF;

// First bytes of characters beyond ASCII and what their second byte may be (Unicode 15, table 3-7).
struct Lead {
  std::uint8_t first;
  std::uint8_t last;
  std::uint8_t second_first;
  std::uint8_t second_last;
  std::uint8_t num_tail;
};
constexpr Lead kLeads[] = {{0xC2, 0xDF, 0x80, 0xBF, 1}, {0xE0, 0xE0, 0xA0, 0xBF, 2},
                           {0xE1, 0xEC, 0x80, 0xBF, 2}, {0xED, 0xED, 0x80, 0x9F, 2},
                           {0xEE, 0xEF, 0x80, 0xBF, 2}, {0xF0, 0xF0, 0x90, 0xBF, 3},
                           {0xF1, 0xF3, 0x80, 0xBF, 3}, {0xF4, 0xF4, 0x80, 0x8F, 3}};

class UniformCheck {
 public:
  UniformCheck(const Machine& machine, const TokenVocabulary& vocabulary)
      : machine_(machine), vocabulary_(vocabulary) {}

  bool holds(const Machine::State& state) {
    for (std::uint32_t byte = 0x20; byte < 0x80; ++byte) {
      const auto value = static_cast<std::uint8_t>(byte);
      if (!is_plain_text_start(value) || !vocabulary_.has_byte(value)) continue;
      if (!meets(machine_.only_next(state, value))) return false;
    }
    for (const Lead& lead : kLeads) {
      std::uint32_t known = Machine::kDead;  // Neighbours mostly share what comes behind them.
      for (std::uint32_t byte = lead.first; byte <= lead.last; ++byte) {
        const auto value = static_cast<std::uint8_t>(byte);
        if (!vocabulary_.has_byte(value)) continue;
        const std::uint32_t next = machine_.only_next(state, value);
        if (next == known && next != Machine::kDead) continue;
        if (!tail_holds(next, lead.second_first, lead.second_last, lead.num_tail)) return false;
        known = next;
      }
    }
    return target_.has_value();
  }

 private:
  bool meets(std::uint32_t target) {
    if (target == Machine::kDead) return false;
    if (!target_) target_ = target;
    return *target_ == target;
  }

  bool tail_holds(std::uint32_t id, std::uint8_t first, std::uint8_t last, std::uint32_t num_tail) {
    const Machine::State& state = machine_.state(id);
    if (id == Machine::kDead || !state.is_plain || !state.is_deterministic) return false;
    std::uint32_t known = Machine::kDead;
    for (std::uint32_t byte = first; byte <= last; ++byte) {
      const auto value = static_cast<std::uint8_t>(byte);
      if (!vocabulary_.has_byte(value)) continue;
      const std::uint32_t next = machine_.only_next(state, value);
      if (next == known && next != Machine::kDead) continue;
      const bool is_right =
          num_tail == 1 ? meets(next) : tail_holds(next, kTailFirst, kTailLast, num_tail - 1);
      if (!is_right) return false;
      known = next;
    }
    return true;
  }

  const Machine& machine_;
  const TokenVocabulary& vocabulary_;
  std::optional<std::uint32_t> target_;
};

}  // namespace

Machine::TextKind text_kind(const Machine& machine, const Machine::State& state,
                            const TokenVocabulary& vocabulary) {
  constexpr std::uint32_t kBytes = 256;
  bool is_inert = true;
  for (std::uint32_t byte = 0; byte < kBytes && is_inert; ++byte) {
    const auto value = static_cast<std::uint8_t>(byte);
    if (!is_plain_text_start(value)) continue;
    is_inert = machine.next(state, value, [](std::uint32_t) {}) == Machine::kDead;
  }
  if (is_inert) return Machine::TextKind::kInert;
  if (!state.is_deterministic) return Machine::TextKind::kMixed;
  return UniformCheck(machine, vocabulary).holds(state) ? Machine::TextKind::kUniform
                                                        : Machine::TextKind::kMixed;
}

}  // namespace millrace
