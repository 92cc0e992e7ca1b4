// Adds a plan up, or replays the allocations of serving tensor by tensor.
#include "cli/largest_model.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/checked.h"
#include "memory/block_table.h"
#include "model/decoder.h"
#include "model/required_tensors.h"
#include "simulate/general_allocator.h"

namespace millrace {
namespace {

// Bytes of activations: all of our ops' intermediate values are f32.
constexpr std::uint64_t kActivationBytes = 4;

std::uint64_t tensor_bytes(const RequiredTensor& tensor, const ServingLoad& load) {
  // Vectors are kept in f32.
  return tensor.shape.num_elements() * (tensor.is_matrix() ? load.weight_bytes : 4);
}

std::uint64_t kv_elements(const AttentionSpec& attention, std::size_t num_tokens) {
  return attention.num_kv_heads * (attention.head_dim + attention.value_head_dim) * num_tokens;
}

Result<std::uint64_t> planned_bytes(const ModelSpec& spec, const ServingLoad& load) {
  std::uint64_t sum = 0;
  // Each tensor begins at a multiple of 64, as in the weight store.
  for (const RequiredTensor& tensor : required_tensors(spec)) {
    sum += round_up(tensor_bytes(tensor, load), 64);
  }
  const DecoderLimits limits{.tokens_max = load.step_tokens, .logit_rows_max = load.num_sequences};
  sum += workspace_bytes(TRY(plan_workspace(spec, limits)));
  const std::size_t num_tokens = load.num_sequences *
                                 blocks_for_tokens(load.num_tokens, load.block_tokens) *
                                 load.block_tokens;
  for (const LayerSpec& layer : spec.layers) {
    sum += kv_elements(layer.attention, num_tokens) * load.kv_bytes;
  }
  return sum;
}

// What a program does that asks malloc for every tensor of its own.
class MallocReplay {
 public:
  MallocReplay(const ModelSpec& spec, const ServingLoad& load, const LargestModel& model)
      : spec_(spec), load_(load), life_(model.life), growth_(model.growth) {}

  std::uint64_t run();

 private:
  // 16 bytes of header and alignment, as glibc has them on 64 bits.
  static constexpr std::uint64_t kHeaderBytes = 16;

  std::uint64_t allocate(std::uint64_t num_bytes) {
    const auto offset = heap_.try_allocate(num_bytes + kHeaderBytes);
    CHECK(offset.has_value());  // the heap is as large as 64 bits allow
    return *offset;
  }
  void release(std::uint64_t offset) {
    if (life_ == TensorLife::kStep) {
      until_step_ends_.push_back(offset);
    } else {
      heap_.release(offset);
    }
  }
  std::uint64_t activation(std::size_t width) {
    return allocate(load_.step_tokens * width * kActivationBytes);
  }

  void grow_kv(std::size_t sequence, std::size_t num_tokens);
  void run_step(std::size_t sequence, std::size_t num_tokens);
  std::uint64_t run_layer(const LayerSpec& layer, std::uint64_t hidden);

  // Keys and values of one sequence in one layer.
  struct KvRange {
    std::uint64_t offset = 0;
    std::size_t num_tokens = 0;  // that it has room for
  };

  const ModelSpec& spec_;
  const ServingLoad load_;
  const TensorLife life_;
  const KvGrowth growth_;
  BestFitAllocator heap_{std::uint64_t{1} << 60, 16};
  std::vector<std::uint64_t> until_step_ends_;
  std::vector<KvRange> kv_;  // [sequences, layers]
};

void MallocReplay::grow_kv(std::size_t sequence, std::size_t num_tokens) {
  for (std::size_t layer = 0; layer < spec_.layers.size(); ++layer) {
    KvRange& range = kv_[sequence * spec_.layers.size() + layer];
    if (num_tokens <= range.num_tokens) continue;
    std::size_t wanted = num_tokens;
    if (growth_ == KvGrowth::kExact) wanted = load_.num_tokens;
    if (growth_ == KvGrowth::kDoubling) wanted = std::max(num_tokens, 2 * range.num_tokens);
    const std::uint64_t bytes = kv_elements(spec_.layers[layer].attention, wanted) * load_.kv_bytes;
    const std::uint64_t offset = allocate(bytes);
    if (range.num_tokens > 0) heap_.release(range.offset);  // after the copy
    range = {offset, wanted};
  }
}

// Gives the tensor of the hidden state that the next layer reads.
std::uint64_t MallocReplay::run_layer(const LayerSpec& layer, std::uint64_t hidden) {
  const AttentionSpec& attention = layer.attention;
  const std::uint64_t normed = activation(spec_.hidden);
  const std::uint64_t query = activation(attention.num_heads * attention.head_dim);
  const std::uint64_t key = activation(attention.num_kv_heads * attention.head_dim);
  const std::uint64_t value = activation(attention.num_kv_heads * attention.value_head_dim);
  release(normed);
  const std::uint64_t attended = activation(attention.num_heads * attention.value_head_dim);
  release(query);
  release(key);
  release(value);
  const std::uint64_t projected = activation(spec_.hidden);
  release(attended);
  const std::uint64_t middle = activation(spec_.hidden);
  release(hidden);
  release(projected);
  const std::uint64_t normed_again = activation(spec_.hidden);
  const std::uint64_t gate = activation(layer.feed_forward.width);
  const std::uint64_t up = activation(layer.feed_forward.width);
  release(normed_again);
  const std::uint64_t product = activation(layer.feed_forward.width);
  release(gate);
  release(up);
  const std::uint64_t down = activation(spec_.hidden);
  release(product);
  const std::uint64_t next = activation(spec_.hidden);
  release(middle);
  release(down);
  return next;
}

void MallocReplay::run_step(std::size_t sequence, std::size_t num_tokens) {
  std::uint64_t hidden = activation(spec_.hidden);
  grow_kv(sequence, num_tokens);
  for (const LayerSpec& layer : spec_.layers) hidden = run_layer(layer, hidden);
  const std::uint64_t logits = allocate(load_.num_sequences * spec_.vocabulary * kActivationBytes);
  release(hidden);
  release(logits);
  for (const std::uint64_t offset : until_step_ends_) heap_.release(offset);
  until_step_ends_.clear();
}

std::uint64_t MallocReplay::run() {
  for (const RequiredTensor& tensor : required_tensors(spec_)) {
    allocate(tensor_bytes(tensor, load_));
  }
  kv_.resize(load_.num_sequences * spec_.layers.size());
  // Sequences take turns, a chunk each, so that their ranges grow beside each other.
  for (std::size_t done = 0; done < load_.num_tokens; done += load_.step_tokens) {
    const std::size_t num_tokens = std::min(load_.num_tokens, done + load_.step_tokens);
    for (std::size_t i = 0; i < load_.num_sequences; ++i) run_step(i, num_tokens);
  }
  return heap_.peak_bytes();
}

}  // namespace

Result<std::uint64_t> serving_bytes(const PublicShape& shape, const ServingLoad& load,
                                    LargestModel& model) {
  ShapeChanges changes;
  changes.num_layers = model.num_layers;
  const ModelSpec spec = TRY(spec_of(shape, changes));
  model.num_parameters = count_parameters(spec).total;
  if (model.life == TensorLife::kPlanned) {
    model.num_bytes = TRY(planned_bytes(spec, load));
  } else {
    MallocReplay replay(spec, load, model);
    model.num_bytes = replay.run();
  }
  return model.num_bytes;
}

Result<std::vector<LargestModel>> largest_models(const PublicShape& shape, const ServingLoad& load,
                                                 std::uint64_t budget) {
  std::vector<LargestModel> models = {
      {.life = TensorLife::kPlanned, .growth = KvGrowth::kBlocks},
      {.life = TensorLife::kLastUse, .growth = KvGrowth::kExact},
      {.life = TensorLife::kLastUse, .growth = KvGrowth::kDoubling},
      {.life = TensorLife::kLastUse, .growth = KvGrowth::kConcatenate},
      {.life = TensorLife::kStep, .growth = KvGrowth::kExact},
      {.life = TensorLife::kStep, .growth = KvGrowth::kConcatenate},
  };
  for (LargestModel& model : models) {
    std::size_t fits = 0;
    std::size_t too_many = kLayersMax + 1;
    while (too_many - fits > 1) {
      LargestModel tried = model;
      tried.num_layers = fits + (too_many - fits) / 2;
      const std::uint64_t num_bytes = TRY(serving_bytes(shape, load, tried));
      if (num_bytes <= budget) {
        fits = tried.num_layers;
        model.num_bytes = tried.num_bytes;
        model.num_parameters = tried.num_parameters;
      } else {
        too_many = tried.num_layers;
      }
    }
    model.num_layers = fits;
  }
  return models;
}

}  // namespace millrace
