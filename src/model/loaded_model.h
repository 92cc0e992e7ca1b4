// A model that is ready to run: its spec and its packed weights, with the checkpoint let go.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/function_ref.h"
#include "base/result.h"
#include "formats/checkpoint.h"
#include "kernels/context.h"
#include "memory/kv_cache.h"
#include "memory/weight_store.h"
#include "model/model_weights.h"
#include "model/weight_plan.h"

namespace millrace {

struct LoadOptions {
  WeightOptions weights;
  WeightSharing sharing = WeightSharing::kPrivate;
  // As in WeightStoreOptions; read only when sharing is asked for.
  std::uint64_t shared_bytes_max = 0;
  std::string shared_folder;
};

// Where the weights came from, for one line of a log.
struct LoadReport {
  std::string weight_key;  // names the packed bytes: files, formats, version of the layout
  std::uint64_t weight_bytes = 0;
  std::size_t num_kept = 0;  // matrices that kept their checkpoint's format
  bool is_shared = false;
  bool was_built_here = false;
  std::string private_reason;  // why sharing was asked for and not had
};

// Stays where it is made: decoders borrow spec() and weights(). Const, any thread.
class LoadedModel {
 public:
  // Packs the checkpoint's weights on the whole team, or maps them where another process has, or
  // from a packed file, which must have the layout of the context's kernels (else kUnsupported).
  // `progress(done, total)` counts packed bytes; it is called on the calling thread.
  static Result<std::unique_ptr<LoadedModel>> load(
      const Checkpoint& checkpoint, ModelSpec spec, const LoadOptions& options,
      KernelContext& context, FunctionRef<void(std::uint64_t, std::uint64_t)> progress);

  // Random weights in the formats that the options ask for; never shared.
  static Result<std::unique_ptr<LoadedModel>> load_random(
      ModelSpec spec, const WeightOptions& options, std::uint64_t seed, KernelContext& context,
      FunctionRef<void(std::uint64_t, std::uint64_t)> progress);

  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  const ModelSpec& spec() const { return spec_; }
  const ModelWeights& weights() const { return weights_; }
  const LoadReport& report() const { return report_; }

 private:
  LoadedModel(ModelSpec spec, WeightStore store)
      : spec_(std::move(spec)), store_(std::move(store)) {}

  ModelSpec spec_;
  WeightStore store_;
  ModelWeights weights_;  // views into store_
  LoadReport report_;
};

// What the KV cache of such a model looks like.
KvCacheSpec kv_cache_spec(const ModelSpec& spec, DType dtype, std::uint32_t block_tokens);

}  // namespace millrace
