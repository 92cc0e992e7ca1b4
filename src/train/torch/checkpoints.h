// What a run leaves behind so that another process can go on with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "train/torch/adamw.h"
#include "train/torch/twin.h"
#include "train/trainer.h"

namespace millrace {

// checkpoints/step-00000200/ of a run's folder:
//
//   model/     a Hugging Face folder
//   moments/   the optimiser's, "first.17" and "second.17" for the 17th parameter
//   state.json steps done, tokens, rows taken, and the identity of the run
struct CheckpointState {
  std::size_t num_steps = 0;
  std::uint64_t num_tokens = 0;
};

// The newest whole one, by name; nothing when there is none.
std::optional<std::string> newest_checkpoint(const std::string& run_folder);

// kInvalidArgument when it belongs to a run of another identity.
Result<CheckpointState> read_checkpoint_state(const std::string& checkpoint,
                                              const std::string& identity);
// Appears whole or not at all; older ones are removed after that.
Status write_run_checkpoint(const TrainJob& job, const Twin& twin, const AdamW& optimizer,
                            const CheckpointState& state);
Status read_moments(const std::string& checkpoint, const Twin& twin, AdamW& optimizer);

}  // namespace millrace
