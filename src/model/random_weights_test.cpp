// Random weights: the same in any pieces, another for another seed, of the deviation that is said.
#include "model/random_weights.h"

#include <gtest/gtest.h>

#include <cmath>

namespace millrace {
namespace {

std::vector<float> read_values(const RandomWeights& weights, const RequiredTensor& tensor,
                               std::size_t begin, std::size_t count) {
  std::vector<float> values(count * tensor.shape.row_elements());
  MUST(weights.read(tensor, begin, count,
                    std::as_writable_bytes(std::span(values))));  // reading never fails
  return values;
}

TEST(RandomWeights, DoNotDependOnThePiecesTheyAreReadIn) {
  const RandomWeights weights(7);
  const RequiredTensor tensor{{TensorRole::kUp, 3}, Shape{100, 37}};
  const std::vector<float> whole = read_values(weights, tensor, 0, 100);
  std::vector<float> pieces;
  for (const auto& [begin, count] :
       {std::pair<std::size_t, std::size_t>{0, 1}, {1, 60}, {61, 39}}) {
    const std::vector<float> piece = read_values(weights, tensor, begin, count);
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(pieces, whole);
}

TEST(RandomWeights, DependOnSeedTensorLayerAndExpert) {
  const RequiredTensor tensor{{TensorRole::kExpertUp, 3, 1}, Shape{4, 8}};
  const std::vector<float> values = read_values(RandomWeights(7), tensor, 0, 4);
  EXPECT_EQ(read_values(RandomWeights(7), tensor, 0, 4), values);
  EXPECT_NE(read_values(RandomWeights(8), tensor, 0, 4), values);
  for (const TensorKey& other :
       {TensorKey{TensorRole::kExpertDown, 3, 1}, TensorKey{TensorRole::kExpertUp, 1, 3},
        TensorKey{TensorRole::kExpertUp, 3, 2}}) {
    EXPECT_NE(read_values(RandomWeights(7), {other, tensor.shape}, 0, 4), values);
  }
}

TEST(RandomWeights, AreNearlyNormal) {
  constexpr std::size_t kNumValues = 1u << 20;
  const std::vector<float> values = read_values(
      RandomWeights(1), {{TensorRole::kEmbedding}, Shape{kNumValues / 64, 64}}, 0, kNumValues / 64);
  double sum = 0;
  double squares = 0;
  double neighbours = 0;
  std::size_t num_within = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += double{values[i]};
    squares += double{values[i]} * double{values[i]};
    if (i > 0) neighbours += double{values[i]} * double{values[i - 1]};
    num_within += std::fabs(values[i]) < 0.02f ? 1 : 0;
  }
  const double deviation = std::sqrt(squares / kNumValues);
  // Five standard errors of n independent draws: 5 / sqrt(n) = 0.0049 deviations for the mean and
  // the neighbours' correlation; less for the deviation itself.
  EXPECT_NEAR(sum / kNumValues, 0.0, 0.0049 * 0.02);
  EXPECT_NEAR(deviation, 0.02, 0.0049 * 0.02);
  EXPECT_NEAR(neighbours / squares, 0.0, 0.0049);
  // 68.3 % of a normal distribution; 66.9 % of the sum of four uniform numbers.
  EXPECT_NEAR(static_cast<double>(num_within) / kNumValues, 0.669, 0.005);
}

TEST(RandomWeights, NormsAreOnes) {
  const std::vector<float> values =
      read_values(RandomWeights(1), {{TensorRole::kKeyNorm, 2}, Shape{16}}, 3, 5);
  EXPECT_EQ(values, std::vector<float>(5, 1.0f));
}

}  // namespace
}  // namespace millrace
