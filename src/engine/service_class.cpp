// The classes of a server that says nothing about them, and what a class may say.
#include "engine/service_class.h"

#include <cmath>
#include <set>

namespace millrace {
namespace {

Status check_class(const ServiceClass& service_class) {
  const std::string who = "class " + service_class.name + ": ";
  const auto wrong = [&](const char* field, const std::string& found, const char* expected) {
    return Error{ErrorCode::kInvalidArgument,
                 who + field + " is " + found + ", expected " + expected};
  };
  if (!(service_class.share > 0) || !std::isfinite(service_class.share)) {
    return wrong("share", std::to_string(service_class.share), "a number above 0");
  }
  const bool are_bounds = 0 <= service_class.share_min &&
                          service_class.share_min <= service_class.share_max &&
                          service_class.share_max <= 1;
  if (!are_bounds) {
    return wrong("share_min",
                 std::to_string(service_class.share_min) + " with share_max " +
                     std::to_string(service_class.share_max),
                 "0 to share_max, which is at most 1");
  }
  if (service_class.first_token_target <= Duration{0}) {
    return wrong("first_token_target",
                 std::to_string(seconds(service_class.first_token_target)) + " s", "above 0");
  }
  if (service_class.token_target && *service_class.token_target <= Duration{0}) {
    return wrong("token_target", std::to_string(seconds(*service_class.token_target)) + " s",
                 "above 0");
  }
  if (service_class.queued_requests_max == 0 || service_class.queued_tokens_max == 0) {
    return wrong("queued_requests_max or queued_tokens_max", "0", "at least 1");
  }
  if (service_class.threads_max == 0u) return wrong("threads_max", "0", "at least 1");
  if (service_class.blocks_max == 0u) return wrong("blocks_max", "0", "at least 1");
  if (service_class.kv_part_max &&
      !(*service_class.kv_part_max > 0 && *service_class.kv_part_max <= 1)) {
    return wrong("kv_part_max", std::to_string(*service_class.kv_part_max),
                 "above 0 and at most 1");
  }
  if (service_class.kv_bytes_max == std::uint64_t{0}) {
    return wrong("kv_bytes_max", "0", "at least a block of the KV cache");
  }
  if (service_class.cache_priority > kCachePriorityMax) {
    return wrong("cache_priority", std::to_string(service_class.cache_priority), "0 to 7");
  }
  return Ok{};
}

}  // namespace

std::vector<ServiceClass> default_service_classes() {
  ServiceClass interactive;
  interactive.name = "interactive";
  interactive.share = 0.7;
  interactive.share_min = 0.5;
  interactive.share_max = 0.9;
  // What a reader takes for an immediate answer, and about three times the speed of reading.
  interactive.first_token_target = std::chrono::milliseconds(500);
  interactive.token_target = std::chrono::milliseconds(100);
  interactive.cache_priority = 1;
  ServiceClass background;
  background.name = "background";
  background.share = 0.3;
  background.share_min = 0.1;
  background.share_max = 0.5;
  background.first_token_target = std::chrono::seconds(30);
  return {interactive, background};
}

Status check_classes(const std::vector<ServiceClass>& classes) {
  if (classes.empty() || classes.size() > kClassesMax) {
    return Error{ErrorCode::kInvalidArgument, "number of classes is " +
                                                  std::to_string(classes.size()) +
                                                  ", expected 1 to " + std::to_string(kClassesMax)};
  }
  std::set<std::string> names;
  for (const ServiceClass& service_class : classes) {
    TRY(check_class(service_class));
    if (!names.insert(service_class.name).second) {
      return Error{ErrorCode::kInvalidArgument,
                   "class " + service_class.name + " is named twice, expected names that differ"};
    }
  }
  return Ok{};
}

std::vector<double> share_parts(const std::vector<ServiceClass>& classes) {
  double sum = 0;
  for (const ServiceClass& service_class : classes) sum += service_class.share;
  std::vector<double> parts;
  for (const ServiceClass& service_class : classes) parts.push_back(service_class.share / sum);
  return parts;
}

}  // namespace millrace
