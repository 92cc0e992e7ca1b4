// Plan, store, pack, bind: from a checkpoint to a model that can run.
#include "model/loaded_model.h"

#include <utility>

#include "kernels/weight_layout.h"

namespace millrace {
namespace {

Status check_layout(const PackedModelFile& file, const CpuKernels& kernels) {
  const std::string_view layout = weight_layout(kernels);
  if (file.layout() == layout && file.layout_version() == kWeightLayoutVersion) return Ok{};
  return Error{ErrorCode::kUnsupported,
               file.path() + " is packed in layout " + file.layout() + " of version " +
                   std::to_string(file.layout_version()) + ", the " + std::string(kernels.isa) +
                   " kernels of this program stream " + std::string(layout) + " of version " +
                   std::to_string(kWeightLayoutVersion) + ": pack it again with `millrace pack`"};
}

WeightStore map_weights(const PackedModelFile& file) {
  return WeightStore::of_file(file.mapping(), file.section(PackedSection::kWeights));
}

}  // namespace

Result<std::unique_ptr<LoadedModel>> LoadedModel::load(
    const Checkpoint& checkpoint, ModelSpec spec, const LoadOptions& options,
    KernelContext& context, FunctionRef<void(std::uint64_t, std::uint64_t)> progress) {
  TRY(check_spec(spec));
  const WeightPlan plan = TRY(WeightPlan::create(checkpoint, spec, options.weights));
  if (checkpoint.packed() != nullptr) TRY(check_layout(*checkpoint.packed(), context.kernels()));
  WeightStoreOptions store_options;
  store_options.key = plan.store_key();
  store_options.num_bytes = plan.num_bytes();
  store_options.sharing = options.sharing;
  store_options.shared_bytes_max = options.shared_bytes_max;
  store_options.folder = options.shared_folder;
  const auto build = [&](std::span<std::byte> bytes) {
    return plan.fill(context, bytes, progress);
  };
  WeightStore store = checkpoint.packed() != nullptr ? map_weights(*checkpoint.packed())
                                                     : TRY(WeightStore::open(store_options, build));

  LoadReport report;
  report.weight_key = store_options.key;
  report.weight_bytes = plan.num_bytes();
  report.num_kept = plan.num_kept();
  report.is_shared = store.is_shared();
  report.was_built_here = store.was_built_here();
  report.private_reason = store.fallback_reason();
  ModelWeights weights = plan.bind(store.bytes());
  // The plan borrows `spec`; it is not used from here on.
  std::unique_ptr<LoadedModel> model(new LoadedModel(std::move(spec), std::move(store)));
  model->weights_ = std::move(weights);
  model->report_ = std::move(report);
  return model;
}

Result<std::unique_ptr<LoadedModel>> LoadedModel::load_random(
    ModelSpec spec, const WeightOptions& options, std::uint64_t seed, KernelContext& context,
    FunctionRef<void(std::uint64_t, std::uint64_t)> progress) {
  TRY(check_spec(spec));
  const WeightPlan plan = TRY(WeightPlan::create_random(spec, options));
  WeightStore store =
      TRY(WeightStore::open({.key = "", .num_bytes = plan.num_bytes(), .folder = ""},
                            [&](std::span<std::byte> bytes) -> Status {
                              plan.fill_random(context, bytes, seed, progress);
                              return Ok{};
                            }));
  ModelWeights weights = plan.bind(store.bytes());
  LoadReport report;
  report.weight_key = "random";
  report.weight_bytes = plan.num_bytes();
  report.num_kept = plan.num_kept();
  report.was_built_here = true;
  std::unique_ptr<LoadedModel> model(new LoadedModel(std::move(spec), std::move(store)));
  model->weights_ = std::move(weights);
  model->report_ = std::move(report);
  return model;
}

KvCacheSpec kv_cache_spec(const ModelSpec& spec, DType dtype, std::uint32_t block_tokens) {
  KvCacheSpec cache;
  cache.block_tokens = block_tokens;
  for (const LayerSpec& layer : spec.layers) {
    cache.layers.push_back({
        .dtype = dtype,
        .num_kv_heads = static_cast<std::uint32_t>(layer.attention.num_kv_heads),
        .head_dim = static_cast<std::uint32_t>(layer.attention.head_dim),
        .value_head_dim = static_cast<std::uint32_t>(layer.attention.value_head_dim),
    });
  }
  return cache;
}

}  // namespace millrace
