// One simulated client: what it asks for, how it behaves, and what it must get.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"

namespace millrace {

// How the client treats its stream.
enum class ClientHabit : std::uint8_t {
  kReads,    // takes everything after each step
  kSlow,     // takes one token now and then, the rest at the end
  kDrops,    // drops the stream at `leaves_at_step`
  kCancels,  // cancels at `leaves_at_step` and reads on
};

// What the request gives when it is alone: the right answer for every schedule.
struct SoloRun {
  std::vector<TokenId> tokens;
  FinishReason reason = FinishReason::kLength;
  bool is_poisoned = false;  // ends where a step with it fails
};

// What every answer follows from.
struct SimTruth {
  std::uint64_t seed = 0;
  std::size_t vocabulary = 0;
  bool has_poison = false;
};
SoloRun solo_run(const Request& request, const SimTruth& truth);

struct SimClient {
  Request request;  // with its id and max_tokens as the engine fills them in
  std::optional<TokenStream> stream;
  bool is_pin = false;        // Engine::pin, which may be refused for lack of room
  bool has_siblings = false;  // other choices of the same request
  ClientHabit habit = ClientHabit::kReads;
  std::uint64_t leaves_at_step = 0;
  // The starvation bound, see serving_sim.cpp.
  std::uint64_t submitted_at_step = 0;
  std::uint64_t num_ahead = 0;        // itself and those of its class that may go first
  std::uint64_t num_steps_ahead = 0;  // theirs when each is the elder
  TimePoint submitted{};
  SoloRun solo;
  std::vector<TokenId> tokens;
  bool is_live = true;  // neither finished nor dropped, as far as the client knows

  // Takes what the habit takes after a step, and leaves when it is time.
  void behave(std::uint64_t step, Random& random);
  // Takes one token if there is one, checking its log-probabilities.
  bool take();
  // Empty when the finished request got what it must; otherwise what is wrong.
  std::string verdict() const;
};

}  // namespace millrace
