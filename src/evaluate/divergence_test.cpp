// Divergence by hand, and of a model with itself and with coarser forms of itself.
#include "evaluate/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "base/random.h"
#include "kernels/cpu/kernels.h"
#include "model/loaded_model.h"
#include "model/public_shapes.h"

namespace millrace {
namespace {

TEST(KlDivergence, AgreesWithTheSumByHand) {
  const std::vector<float> log_p = {std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  // Logits need no normalising: q = {0.25, 0.25, 0.5}, shifted.
  const std::vector<float> logits = {std::log(0.25f) + 7, std::log(0.25f) + 7, std::log(0.5f) + 7};
  const double expected = 0.5 * std::log(2.0) + 0.25 * std::log(0.5);
  EXPECT_NEAR(kl_divergence(log_p, logits), expected, 1e-6);
  EXPECT_NEAR(kl_divergence(log_p, log_p), 0.0, 1e-6);
}

TEST(KlDivergence, WhatTheReferenceRulesOutAddsNothing) {
  const float none = -std::numeric_limits<float>::infinity();
  EXPECT_NEAR(kl_divergence(std::vector<float>{0.0f, none}, std::vector<float>{0.0f, 0.0f}),
              std::log(2.0), 1e-6);
}

// A small random model in one form.
struct Model {
  ThreadTeam team{1};
  KernelContext context{*runnable_cpu_kernels().front(), team};
  std::unique_ptr<LoadedModel> loaded;
  std::optional<KvCache> cache;
  Buffer workspace;
  std::optional<Decoder> decoder;

  Model(WeightFormat weights, std::size_t vocabulary = 512) {
    const ModelSpec spec =
        MUST(spec_of(*MUST(find_public_shape("stories260k")), {.vocabulary = vocabulary}));
    loaded = MUST(LoadedModel::load_random(spec, {.format = weights}, 3, context,
                                           [](std::uint64_t, std::uint64_t) {}));
    const DecoderLimits limits{.tokens_max = 24, .logit_rows_max = 24};
    cache = MUST(KvCache::create(kv_cache_spec(spec, DType::kF32, 16), 4));
    workspace =
        MUST(Buffer::allocate(workspace_bytes(MUST(plan_workspace(loaded->spec(), limits)))));
    decoder = MUST(Decoder::create(loaded->spec(), loaded->weights(), limits, workspace.bytes()));
  }
};

std::vector<std::uint32_t> some_ids() {
  std::vector<std::uint32_t> ids(200);
  Random random(9);
  for (std::uint32_t& id : ids) id = static_cast<std::uint32_t>(random.below(500));
  return ids;
}

Result<ReferencePredictions> reference_of(Model& model, std::uint64_t bytes_max = 1 << 30) {
  return ReferencePredictions::measure(*model.decoder, model.context, *model.cache, some_ids(),
                                       {.window_tokens = 40, .bos = 1}, bytes_max);
}

TEST(Divergence, OfAModelWithItselfIsNothingAndGrowsAsWeightsGetCoarser) {
  Model exact(WeightFormat::kF32);
  const auto reference = reference_of(exact);
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  // 5 windows of 40, of each the positions 20 .. 38.
  EXPECT_EQ(reference.value().num_scored(), 95u);
  const auto measured = [&](Model& model) {
    return measure_divergence(reference.value(), *model.decoder, model.context, *model.cache,
                              some_ids())
        .value();
  };
  const DivergenceReport itself = measured(exact);
  EXPECT_EQ(itself.num_scored, 95u);
  EXPECT_LT(std::abs(itself.mean_kl), 1e-6);
  EXPECT_EQ(itself.top1_agreement, 1.0);
  EXPECT_NEAR(itself.perplexity, itself.reference_perplexity, 1e-3);
  Model half(WeightFormat::kF16);
  Model eight(WeightFormat::kInt8);
  Model four(WeightFormat::kInt4);
  const DivergenceReport of_half = measured(half);
  const DivergenceReport of_eight = measured(eight);
  const DivergenceReport of_four = measured(four);
  EXPECT_LT(of_half.mean_kl, of_eight.mean_kl);
  EXPECT_LT(of_eight.mean_kl, of_four.mean_kl);
  EXPECT_LE(of_four.top1_agreement, of_half.top1_agreement);
  EXPECT_GE(of_four.kl_p99, of_four.mean_kl);
}

TEST(Divergence, RefusesWhatCannotBeCompared) {
  Model model(WeightFormat::kF32);
  const auto too_large = reference_of(model, 1000);
  ASSERT_FALSE(too_large.ok());
  EXPECT_EQ(too_large.error().code, ErrorCode::kTooLarge);
  const auto reference = reference_of(model);
  ASSERT_TRUE(reference.ok());
  Model other(WeightFormat::kF32, 640);
  const auto report = measure_divergence(reference.value(), *other.decoder, other.context,
                                         *other.cache, some_ids());
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("a vocabulary of 640"), std::string::npos);
}

}  // namespace
}  // namespace millrace
