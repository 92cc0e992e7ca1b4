// A model loaded and sized for one command: team, weights, cache, workspace and decoder, wired
// together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/thread_team.h"
#include "cli/model_options.h"
#include "kernels/context.h"
#include "memory/kv_cache.h"
#include "memory/kv_snapshot.h"
#include "model/decoder.h"
#include "model/loaded_model.h"

namespace millrace {

// What the command will ask of the model.
struct SessionDemand {
  std::size_t num_sequences = 1;  // at once, each with a whole context
  // The cache grows to so many whole contexts where memory allows; 0: num_sequences.
  std::size_t num_sequences_max = 0;
  std::size_t context_default = 0;  // tokens per sequence without --context; 0: as many as fit
  DecoderLimits limits;
  std::uint64_t extra_bytes = 0;  // what the command itself holds beside the model
};

// Sizes for --stats and inspect.
struct SessionMemory {
  std::uint64_t weight_bytes = 0;
  std::uint64_t kv_bytes = 0;
  std::uint64_t workspace_bytes = 0;
};

// Refuses what does not fit before it loads anything. Stays where it is made; one thread.
class ModelSession {
 public:
  static Result<std::unique_ptr<ModelSession>> open(const Checkpoint& checkpoint,
                                                    const ModelOptions& options,
                                                    const SessionDemand& demand);

  // The same with random weights of a shape, in --weight-format or else f32.
  static Result<std::unique_ptr<ModelSession>> open_random(ModelSpec spec,
                                                           const ModelOptions& options,
                                                           const SessionDemand& demand);

  // What open() would come to hold, in bytes; loads nothing.
  static Result<std::uint64_t> num_bytes(const Checkpoint& checkpoint, const ModelOptions& options,
                                         const SessionDemand& demand);

  const ModelSpec& spec() const { return model_->spec(); }
  const LoadedModel& model() const { return *model_; }
  Decoder& decoder() { return *decoder_; }
  KernelContext& context() { return context_; }
  const KvCache& cache() const { return *cache_; }
  ThreadTeam& team() { return team_; }
  std::size_t context_tokens() const { return context_tokens_; }
  std::size_t longest_context() const { return longest_context_; }  // that --context may ask for
  const MachineChoice& machine() const { return machine_; }
  SessionMemory memory() const;
  // What saved blocks of its cache depend on.
  KvSnapshotKey snapshot_key() const;

 private:
  explicit ModelSession(MachineChoice machine);
  // Also configures the spec for the context that is wanted.
  static Result<std::unique_ptr<ModelSession>> make(ModelSpec& spec, std::uint64_t weight_bytes,
                                                    MachineChoice machine,
                                                    const ModelOptions& options,
                                                    const SessionDemand& demand);
  Status finish(const SessionDemand& demand);  // cache, workspace and decoder of model_
  Status size_cache(ModelSpec& spec, std::uint64_t weight_bytes, const ModelOptions& options,
                    const SessionDemand& demand);

  MachineChoice machine_;
  ThreadTeam team_;
  KernelContext context_;
  std::size_t context_tokens_ = 0;
  std::size_t longest_context_ = 0;
  std::uint64_t config_hash_ = 0;
  std::uint32_t num_blocks_ = 0;
  std::unique_ptr<LoadedModel> model_;
  std::optional<KvCache> cache_;
  Buffer workspace_;
  std::optional<Decoder> decoder_;
};

// What is taken when no model is named: MILLRACE_MODEL, else the one that comes with the program;
// empty when there is none.
std::string default_model();
Error no_model();

// The one that --model names, else MILLRACE_MODEL, else the one that comes with the program;
// `options` then names it. kInvalidArgument when there is none.
Result<Checkpoint> open_model(ModelOptions& options);

}  // namespace millrace
