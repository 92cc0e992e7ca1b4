// What each profile sets, with the reason that the documentation gives.
#include "serve/config/profile.h"

#include "base/check.h"

namespace millrace {
namespace {

constexpr ProfileSetting kRealtime[] = {
    {"engine.step_tokens_max", "128",
     "a step is short, so that nobody's next token waits long for a prompt of somebody else"},
    {"engine.chunk_tokens_max", "128", "long prompts come in small pieces"},
    {"engine.sequences_max", "16", "each answer keeps its pace; more requests wait"},
    {"engine.requests_max", "256", "who would wait too long hears it at once"},
    {"engine.share_controller.enabled", "true", "interactive work takes what it needs, in bounds"},
    {"classes.0.name", "interactive", "people who wait"},
    {"classes.0.share", "0.8", "most of the work"},
    {"classes.0.share_min", "0.6", "the controller leaves it this"},
    {"classes.0.share_max", "0.95", "background work never stands still"},
    {"classes.0.first_token_target", "300ms", "feels immediate"},
    {"classes.0.token_target", "50ms", "20 tokens per second, faster than people read"},
    {"classes.0.queue_wait_max", "2s", "an early 429 lets a balancer try elsewhere"},
    {"classes.0.cache_priority", "1", "its prefixes stay longest"},
    {"classes.1.name", "background", "what can wait"},
    {"classes.1.share", "0.2", "the rest, and all that is idle"},
    {"classes.1.share_min", "0.05", "it never starves"},
    {"classes.1.share_max", "0.4", "the controller gives it at most this"},
    {"classes.1.first_token_target", "30s", "nobody looks at it"},
    {"limits.request_time_max", "2m", "a request that takes longer helps nobody"},
};

constexpr ProfileSetting kBatch[] = {
    {"engine.step_tokens_max", "1024", "large steps read the weights once for many tokens"},
    {"engine.chunk_tokens_max", "1024", "prompts in few pieces"},
    {"engine.sequences_max", "128", "as many answers at once as the cache holds"},
    {"engine.requests_max", "65536", "whole files of requests may queue"},
    {"classes.0.name", "batch", "everything"},
    {"classes.0.share", "1", "all of the work"},
    {"classes.0.first_token_target", "1h", "only the total time counts"},
    {"classes.0.queued_requests_max", "65536", "whole files of requests may queue"},
    {"classes.0.queued_tokens_max", "1073741824", "with long prompts too"},
    {"limits.request_time_max", "1d", "waiting is not failing"},
    {"limits.drain_timeout", "10m", "long answers may finish"},
};

}  // namespace

std::span<const ProfileSetting> profile_settings(Profile profile) {
  switch (profile) {
    case Profile::kNone:
      return {};
    case Profile::kRealtime:
      return kRealtime;
    case Profile::kBatch:
      return kBatch;
  }
  CHECK(false);
  return {};
}

}  // namespace millrace
