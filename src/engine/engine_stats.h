// What an engine has done and how it stands: plain numbers that any thread may read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/admission.h"
#include "engine/bucket_counts.h"
#include "engine/class_state.h"
#include "engine/cost_model.h"
#include "engine/service_class.h"
#include "engine/share_controller.h"

namespace millrace {

// How a class stands.
struct ClassStats {
  std::size_t num_waiting = 0;  // parked choices not counted
  std::size_t num_running = 0;
  std::size_t num_blocks = 0;   // in its sequences' tables; shared ones count in each
  double share_part = 0;        // of all
  double share_configured = 0;  // the same before the controller moved anything
  std::uint64_t work_done = 0;
  double start_tokens_per_second = 0;  // of prompts, while some wait; 0 when not known
  ClassCounts counts;
};

// A class at the door: as of now, not of the last step.
struct ClassDoor {
  std::size_t num_requests = 0;  // that have not run yet, parked choices too
  std::size_t num_tokens = 0;    // of their prompts
  RefusalCounts refusals{};
};

// How long a class's requests took.
struct ClassTimes {
  BucketCounts<kWaitSecondsBounds> queue_seconds;  // from submission to the first run
  // Between two tokens of a sequence as the engine hands them on; the first has no gap.
  BucketCounts<kStepSecondsBounds> token_gap_seconds;
};

// Seconds of the engine thread since the engine was made, by what it did.
struct HostSeconds {
  double plan = 0;   // inbox, cancellations, deciding, packing for the runner
  double apply = 0;  // the step's tokens: append, publish, release
  double emit = 0;   // tokens to their streams
};

// Counts rise from 0; what stands is as of the end of the last step.
struct EngineStats {
  std::uint64_t num_steps = 0;          // that ran
  std::uint64_t num_tokens = 0;         // computed: rows that went through the model
  std::uint64_t num_output_tokens = 0;  // generated and kept
  std::uint64_t num_cached_tokens = 0;  // found in the prefix index instead of computed
  std::uint64_t num_preemptions = 0;
  std::uint64_t num_failed_steps = 0;  // that the runner gave an error for
  std::uint64_t num_step_retries = 0;  // runs of parts of such steps
  std::uint64_t num_breaches = 0;      // of the idle engine's own invariants

  std::size_t num_live = 0;  // waiting, parked and running
  std::size_t num_running = 0;
  std::size_t num_parked = 0;  // choices that wait for the first one's prompt
  std::size_t block_tokens = 0;
  std::uint32_t num_blocks = 0;         // of the KV pool
  std::uint32_t num_blocks_free = 0;    // in nobody's hands
  std::uint32_t num_blocks_idle = 0;    // cached prefixes that no sequence holds
  std::uint32_t num_blocks_pinned = 0;  // of hot prompts, whoever else holds them
  std::uint64_t num_evictions = 0;      // cached blocks that made way for others
  std::size_t num_hot_asked = 0;        // prefixes that are pinned: asked for, and found
  std::size_t num_hot_found = 0;
  std::size_t num_classes = 0;
  std::array<ClassStats, kClassesMax> classes{};  // the first num_classes, as what follows
  std::array<ClassDoor, kClassesMax> doors{};
  std::array<ClassTimes, kClassesMax> times{};

  // What a step costs, as learned: seconds per step, token, sequence, token of the cache that is
  // read, and pair that attention looks at.
  CostModel::Coefficients cost_coefficients{};
  double cost_error = 0;  // mean relative error of the last hundred steps or so

  // In which a step ran on the device, and in which there was work; their ratio is how busy the
  // device is kept.
  double busy_seconds = 0;
  double work_seconds = 0;
  double thread_seconds = 0;  // busy ones times the threads of the step
  HostSeconds host;
  BucketCounts<kStepSecondsBounds> step_seconds;
  BucketCounts<kStepTokensBounds> step_tokens;

  // How often the controller moved shares, by ShareReason.
  std::array<std::uint64_t, kShareReasons> num_share_moves{};

  // Held by sequences or pins.
  std::uint32_t num_blocks_held() const { return num_blocks - num_blocks_free - num_blocks_idle; }
  // 1 when nothing ever waited for the host; 0 before the first step.
  double busy_fraction() const { return work_seconds > 0 ? busy_seconds / work_seconds : 0; }
};

}  // namespace millrace
