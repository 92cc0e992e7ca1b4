// Field by field.
#include "serve/config/service_classes.h"

namespace millrace {

std::vector<ServiceClass> service_classes(const ServerConfig& config) {
  if (config.classes.empty()) return default_service_classes();
  std::vector<ServiceClass> classes;
  for (const ClassConfig& from : config.classes) {
    ServiceClass to;
    to.name = from.name;
    to.share = from.share;
    to.share_min = from.share_min;
    to.share_max = from.share_max;
    to.first_token_target = from.first_token_target;
    to.token_target = from.token_target;
    to.queued_requests_max = from.queued_requests_max;
    to.queued_tokens_max = from.queued_tokens_max;
    to.queue_wait_max = from.queue_wait_max;
    if (from.threads_max) to.threads_max = static_cast<std::uint32_t>(*from.threads_max);
    to.kv_part_max = from.cache_part_max;
    to.kv_bytes_max = from.kv_bytes_max;
    to.cache_priority = static_cast<std::uint8_t>(from.cache_priority);
    classes.push_back(to);
  }
  return classes;
}

std::vector<ClassConfig> class_configs(const ServerConfig& config) {
  if (!config.classes.empty()) return config.classes;
  std::vector<ClassConfig> classes;
  for (const ServiceClass& from : default_service_classes()) {
    ClassConfig to;
    to.name = from.name;
    to.share = from.share;
    to.share_min = from.share_min;
    to.share_max = from.share_max;
    to.first_token_target = from.first_token_target;
    to.token_target = from.token_target;
    to.queued_requests_max = from.queued_requests_max;
    to.queued_tokens_max = from.queued_tokens_max;
    to.queue_wait_max = from.queue_wait_max;
    if (from.threads_max) to.threads_max = *from.threads_max;
    to.cache_part_max = from.kv_part_max;
    to.kv_bytes_max = from.kv_bytes_max;
    to.cache_priority = from.cache_priority;
    classes.push_back(to);
  }
  return classes;
}

SchedulerOptions scheduler_options(const ServerConfig& config) {
  const EngineConfig& engine = config.engine;
  SchedulerOptions options;
  options.num_requests_max = engine.requests_max;
  options.num_sequences_max = engine.sequences_max;
  options.step_tokens_max = engine.step_tokens_max;
  options.chunk_tokens_max = engine.chunk_tokens_max;
  options.prefix_reuse = engine.prefix_reuse ? PrefixReuse::kOn : PrefixReuse::kOff;
  options.loop = engine.overlap ? StepLoop::kOverlapped : StepLoop::kSerial;
  options.classes = service_classes(config);
  if (engine.share_controller.enabled) {
    options.controller = ShareControllerOptions{.interval = engine.share_controller.interval,
                                                .step = engine.share_controller.step};
  }
  return options;
}

}  // namespace millrace
