// Batch invariance: whatever a sequence is mixed with, its logits equal its solo run's, bit for
// bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <numeric>

#include "base/random.h"
#include "support/test_model.h"

namespace millrace {
namespace {

// One sequence of a mix: its tokens, how far it is, its blocks in the cache.
struct MixedSequence {
  std::vector<std::uint32_t> ids;
  std::size_t num_computed = 0;
  std::vector<std::uint32_t> blocks;
  std::vector<float> logits;  // [T, V] as they came
};

constexpr std::uint32_t kBlockTokens = 16;
constexpr std::uint32_t kNumBlocks = 64;

std::vector<std::uint32_t> random_ids(Random& random, std::size_t count, std::size_t vocabulary) {
  std::vector<std::uint32_t> ids(count);
  for (std::uint32_t& id : ids) id = static_cast<std::uint32_t>(random.below(vocabulary));
  return ids;
}

// Sequences of random lengths on randomly dealt blocks.
std::vector<MixedSequence> random_mix(Random& random, const ModelSpec& spec) {
  const std::size_t length_max = std::min<std::size_t>(90, spec.context_max);
  std::vector<std::uint32_t> free_blocks(kNumBlocks);
  std::iota(free_blocks.begin(), free_blocks.end(), 0u);
  for (std::size_t i = free_blocks.size(); i > 1; --i) {
    std::swap(free_blocks[i - 1], free_blocks[random.below(i)]);
  }
  std::vector<MixedSequence> mix(random.between(1, 6));
  for (MixedSequence& sequence : mix) {
    sequence.ids = random_ids(random, random.between(1, length_max), spec.vocabulary);
    for (std::size_t i = 0; i < sequence.ids.size(); i += kBlockTokens) {
      sequence.blocks.push_back(free_blocks.back());
      free_blocks.pop_back();
    }
  }
  return mix;
}

// A step over some of the sequences, with chunks of random length.
class MixStep {
 public:
  explicit MixStep(TestModel& model) : model_(&model) {}

  void run(Random& random, std::vector<MixedSequence>& mix) {
    clear();
    std::vector<std::pair<MixedSequence*, std::size_t>> chunks;
    for (MixedSequence& sequence : mix) {
      const std::size_t left = sequence.ids.size() - sequence.num_computed;
      if (left == 0 || random.chance(0.3)) continue;
      const std::size_t count = random.chance(0.4) ? 1 : random.between(1, left);
      add(sequence, count);
      chunks.emplace_back(&sequence, count);
    }
    if (ids_.empty()) return;
    const ForwardOutput output =
        run_forward(model_->decoder(), model_->context(), batch(), model_->cache());
    std::size_t row = 0;
    for (const auto& [sequence, count] : chunks) {
      const float* logits = output.logits.row<float>(row);
      sequence->logits.insert(sequence->logits.end(), logits,
                              logits + count * model_->spec().vocabulary);
      sequence->num_computed += count;
      row += count;
    }
  }

 private:
  void clear() {
    ids_.clear();
    positions_.clear();
    rows_.clear();
    chunk_begin_.assign(1, 0);
    context_.clear();
    blocks_.clear();
  }

  void add(const MixedSequence& sequence, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      rows_.push_back(static_cast<std::uint32_t>(ids_.size()));
      ids_.push_back(sequence.ids[sequence.num_computed + i]);
      positions_.push_back(static_cast<std::uint32_t>(sequence.num_computed + i));
    }
    chunk_begin_.push_back(static_cast<std::uint32_t>(ids_.size()));
    context_.push_back(static_cast<std::uint32_t>(sequence.num_computed));
    std::vector<std::uint32_t> row = sequence.blocks;
    row.resize(kStride, 0);
    blocks_.insert(blocks_.end(), row.begin(), row.end());
  }

  ForwardBatch batch() const {
    return {.token_ids = ids_,
            .positions = positions_,
            .attention = {.chunk_begin = chunk_begin_,
                          .context_tokens = context_,
                          .block_table = blocks_,
                          .block_table_stride = kStride},
            .logit_rows = rows_};
  }

  static constexpr std::size_t kStride = 8;

  TestModel* model_;
  std::vector<std::uint32_t> ids_, positions_, rows_, chunk_begin_, context_, blocks_;
};

struct InvarianceCase {
  std::string family;
  DType kv_dtype;
  std::optional<WeightFormat> format;
  std::size_t num_threads;
};

class BatchInvariance : public ::testing::TestWithParam<InvarianceCase> {};

std::unique_ptr<TestModel> load(const InvarianceCase& row, const CpuKernels* kernels,
                                std::size_t num_threads) {
  TestModelOptions options;
  options.kernels = kernels;
  options.num_threads = num_threads;
  options.kv_dtype = row.kv_dtype;
  options.block_tokens = kBlockTokens;
  options.num_blocks = kNumBlocks;
  options.tokens_max = 600;
  options.format = row.format;
  return MUST(
      TestModel::load(std::string(MILLRACE_GOLDEN) + "/models/" + row.family, options));  // ours
}

TEST_P(BatchInvariance, LogitsEqualTheSoloRunBitForBit) {
  // Another mix for every case, the same at every run.
  std::uint64_t seed = GetParam().num_threads;
  for (const char c :
       std::string_view(::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    seed = mix64(seed + static_cast<unsigned char>(c));
  }
  Random random(seed);
  std::size_t num_compared = 0;
  // The best row and the portable one; tests/kernels holds every row to the same, op by op.
  for (const CpuKernels* kernels :
       {runnable_cpu_kernels().front(), runnable_cpu_kernels().back()}) {
    const auto solo = load(GetParam(), kernels, 1);
    const auto mixed = load(GetParam(), kernels, GetParam().num_threads);
    for (int round = 0; round < 8; ++round) {
      std::vector<MixedSequence> mix = random_mix(random, solo->spec());
      MixStep step(*mixed);
      const auto unfinished = [&mix] {
        return std::any_of(mix.begin(), mix.end(), [](const MixedSequence& sequence) {
          return sequence.num_computed < sequence.ids.size();
        });
      };
      while (unfinished()) step.run(random, mix);
      for (const MixedSequence& sequence : mix) {
        const std::vector<float> expected = solo->logits(sequence.ids, sequence.ids.size());
        ASSERT_EQ(sequence.logits.size(), expected.size());
        ASSERT_EQ(
            std::memcmp(sequence.logits.data(), expected.data(), expected.size() * sizeof(float)),
            0)
            << kernels->isa << ", round " << round << ", " << sequence.ids.size() << " tokens";
        num_compared += sequence.ids.size();
      }
    }
  }
  std::printf("batch invariance: %zu positions equal\n", num_compared);
}

std::vector<InvarianceCase> cases() {
  std::vector<InvarianceCase> rows;
  // Every cache format and several thread counts on the plain family, then the odd ones: windows,
  // norms per head, experts, biases, latents, sinks; then every weight format that the depth of the
  // matrices allows.
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    for (const std::size_t threads : {1u, 2u, 3u})
      rows.push_back({"llama3", dtype, std::nullopt, threads});
  }
  for (const char* family :
       {"mistral", "qwen3", "mixtral", "qwen3-moe-mixed", "qwen2-window", "llama-bias", "qwen2-moe",
        "olmoe", "deepseek-v2", "deepseek-v3", "gpt-oss", "gemma2", "gemma3", "gpt2", "olmo2"}) {
    rows.push_back({family, DType::kF16, std::nullopt, 2});
    rows.push_back({family, DType::kI8, std::nullopt, 3});
  }
  for (std::size_t i = 0; i < kNumWeightFormats; ++i) {
    const auto format = static_cast<WeightFormat>(i);
    rows.push_back({"llama3", DType::kF16, format, 2});
    rows.push_back({"mixtral", DType::kF16, format, 3});
    rows.push_back({"deepseek-v2-lite", DType::kF16, format, 2});
  }
  return rows;
}

INSTANTIATE_TEST_SUITE_P(Mixes, BatchInvariance, ::testing::ValuesIn(cases()), [](const auto& row) {
  std::string name =
      row.param.family + "_kv_" + std::string(dtype_name(row.param.kv_dtype)) + "_" +
      (row.param.format ? std::string(weight_format_name(*row.param.format)) : "own") + "_" +
      std::to_string(row.param.num_threads) + "threads";
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
});

}  // namespace
}  // namespace millrace
