// Sizing first, loading after.
#include "cli/model_session.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "cli/hub_models.h"
#include "cli/progress_bar.h"
#include "memory/block_table.h"
#include "memory/memory_plan.h"
#include "model/read_spec.h"

namespace millrace {
namespace {

constexpr std::uint32_t kBlockTokens = 16;
// The program itself, its tokeniser and streams: about twice what the largest vocabulary was seen
// to take.
constexpr std::uint64_t kProcessBytes = 64ull << 20;
// Without --context a model must at least have room for this to be worth starting.
constexpr std::size_t kContextWorthwhile = 256;

// A step of a tiny model is over before a second thread has met the first at a dozen barriers a
// layer, and waits a time slice at each when the machine is busy.
std::size_t worthwhile_threads(std::size_t num_usable, std::uint64_t weight_bytes) {
  constexpr std::uint64_t kBytesPerThread = 4ull << 20;
  return std::clamp<std::size_t>(weight_bytes / kBytesPerThread, 1, num_usable);
}

std::uint64_t hash_of(const std::string& text) {
  KvSnapshotChecksum sum;
  sum.add(std::as_bytes(std::span(text)));
  return sum.value();
}

Error too_long(std::size_t context, std::size_t context_max) {
  return Error{ErrorCode::kInvalidArgument, "--context " + std::to_string(context) +
                                                " exceeds the model's context of " +
                                                std::to_string(context_max)};
}

struct CachePlan {
  std::size_t context_tokens_wanted = 0;
  MemoryPlan memory;
};

// Refuses a context that the model does not have, and what does not fit.
Result<CachePlan> plan_cache(const ModelSpec& spec, std::uint64_t weight_bytes,
                             const MachineChoice& machine, const ModelOptions& options,
                             const SessionDemand& demand) {
  if (options.context && *options.context > spec.context_max) {
    return too_long(*options.context, spec.context_max);
  }
  const KvCacheSpec cache = kv_cache_spec(spec, machine.kv_dtype, kBlockTokens);
  // What a longer context would change for short prompts too is only done when it is asked for.
  const std::size_t trained = trained_context(spec);
  const std::size_t most =
      demand.context_default == 0 ? trained : std::min(demand.context_default, trained);
  CachePlan plan;
  plan.context_tokens_wanted = options.context.value_or(most);
  const std::size_t wanted = plan.context_tokens_wanted;
  const std::size_t least = options.context ? wanted : std::min(wanted, kContextWorthwhile);
  MemoryDemand memory;
  memory.limit_bytes = machine.memory_bytes;
  memory.weight_bytes = weight_bytes;
  memory.arena_bytes = workspace_bytes(TRY(plan_workspace(spec, demand.limits)));
  memory.process_bytes = kProcessBytes + demand.extra_bytes;
  memory.block_bytes = TRY(kv_bytes_per_block(cache));
  memory.num_blocks_min = demand.num_sequences * blocks_for_tokens(least, kBlockTokens);
  memory.num_blocks_max = std::max(demand.num_sequences, demand.num_sequences_max) *
                          blocks_for_tokens(wanted, kBlockTokens);
  plan.memory = TRY(plan_memory(memory));
  return plan;
}

}  // namespace

ModelSession::ModelSession(MachineChoice machine)
    : machine_(std::move(machine)),
      team_(machine_.num_threads),
      context_(*machine_.kernels, team_) {}

Status ModelSession::size_cache(ModelSpec& spec, std::uint64_t weight_bytes,
                                const ModelOptions& options, const SessionDemand& demand) {
  const CachePlan plan = TRY(plan_cache(spec, weight_bytes, machine_, options, demand));
  const std::size_t wanted = plan.context_tokens_wanted;
  num_blocks_ = plan.memory.num_blocks;
  context_tokens_ =
      std::min<std::size_t>(wanted, num_blocks_ / demand.num_sequences * std::size_t{kBlockTokens});
  longest_context_ = spec.context_max;
  spec.context_max = wanted;
  return Ok{};
}

Result<std::uint64_t> ModelSession::num_bytes(const Checkpoint& checkpoint,
                                              const ModelOptions& options,
                                              const SessionDemand& demand) {
  const MachineChoice machine = TRY(choose_machine(options));
  const ModelSpec spec = TRY(read_spec(checkpoint));
  const WeightPlan weights = TRY(WeightPlan::create(checkpoint, spec, machine.load.weights));
  const CachePlan plan = TRY(plan_cache(spec, weights.num_bytes(), machine, options, demand));
  return plan.memory.total_bytes;
}

Result<std::unique_ptr<ModelSession>> ModelSession::make(ModelSpec& spec,
                                                         std::uint64_t weight_bytes,
                                                         MachineChoice machine,
                                                         const ModelOptions& options,
                                                         const SessionDemand& demand) {
  if (!options.threads) machine.num_threads = worthwhile_threads(machine.num_threads, weight_bytes);
  std::unique_ptr<ModelSession> session(new ModelSession(std::move(machine)));
  TRY(session->size_cache(spec, weight_bytes, options, demand));
  return session;
}

Status ModelSession::finish(const SessionDemand& demand) {
  const ModelSpec& loaded = spec();
  cache_ =
      TRY(KvCache::create(kv_cache_spec(loaded, machine_.kv_dtype, kBlockTokens), num_blocks_));
  workspace_ = TRY(Buffer::allocate(workspace_bytes(TRY(plan_workspace(loaded, demand.limits)))));
  decoder_ = TRY(Decoder::create(loaded, model_->weights(), demand.limits, workspace_.bytes()));
  return Ok{};
}

Result<std::unique_ptr<ModelSession>> ModelSession::open(const Checkpoint& checkpoint,
                                                         const ModelOptions& options,
                                                         const SessionDemand& demand) {
  MachineChoice machine = TRY(choose_machine(options));
  ModelSpec spec = TRY(read_spec(checkpoint));
  const WeightPlan plan = TRY(WeightPlan::create(checkpoint, spec, machine.load.weights));
  auto session = TRY(make(spec, plan.num_bytes(), std::move(machine), options, demand));
  session->config_hash_ =
      hash_of(checkpoint.config().dump(-1, ' ', false, Json::error_handler_t::replace));
  {
    ProgressBar bar("loading");
    session->model_ = TRY(LoadedModel::load(
        checkpoint, std::move(spec), session->machine_.load, session->context_,
        [&bar](std::uint64_t done, std::uint64_t total) { bar.update(done, total); }));
  }
  TRY(session->finish(demand));
  return session;
}

Result<std::unique_ptr<ModelSession>> ModelSession::open_random(ModelSpec spec,
                                                                const ModelOptions& options,
                                                                const SessionDemand& demand) {
  constexpr std::uint64_t kSeed = 0;
  MachineChoice machine = TRY(choose_machine(options));
  const WeightPlan plan = TRY(WeightPlan::create_random(spec, machine.load.weights));
  auto session = TRY(make(spec, plan.num_bytes(), std::move(machine), options, demand));
  {
    ProgressBar bar("making weights");
    session->model_ = TRY(LoadedModel::load_random(
        std::move(spec), session->machine_.load.weights, kSeed, session->context_,
        [&bar](std::uint64_t done, std::uint64_t total) { bar.update(done, total); }));
  }
  TRY(session->finish(demand));
  return session;
}

SessionMemory ModelSession::memory() const {
  return {.weight_bytes = model_->report().weight_bytes,
          .kv_bytes = cache_->num_bytes(),
          .workspace_bytes = workspace_.bytes().size()};
}

KvSnapshotKey ModelSession::snapshot_key() const {
  return {.model = {hash_of(model_->report().weight_key), config_hash_},
          .packing_version = kWeightLayoutVersion,
          .kernel_row = std::string(machine_.kernels->isa),
          .context = spec().context_max};
}

// What the environment says, or the small one that comes with the program: beside it where it was
// installed, or in the source tree where it was built.
std::string default_model() {
  const char* named = std::getenv("MILLRACE_MODEL");
  if (named != nullptr && *named != '\0') return named;
  std::error_code failed;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) return "";
  for (const char* place : {"../share/millrace/stories260k", "../../../examples/stories260k"}) {
    const std::string folder = (program.parent_path() / place).lexically_normal().string();
    if (is_directory(folder)) return folder;
  }
  return "";
}

Error no_model() {
  return {ErrorCode::kInvalidArgument,
          "no model: name one with --model PATH (a Hugging Face folder, a .gguf file or a "
          "llama2.c .bin file) or in the environment variable MILLRACE_MODEL"};
}

Result<Checkpoint> open_model(ModelOptions& options) {
  if (options.model.empty()) options.model = default_model();
  if (options.model.empty()) return no_model();
  options.model = TRY(local_model(options.model));
  return open_checkpoint(options.model);
}

}  // namespace millrace
