#include "train/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace ponder {
namespace {

double loss_of(const std::vector<std::vector<float>>& logits, const std::vector<int64_t>& targets,
               const std::vector<double>& weights, const CrossEntropyParams& params, double total,
               std::vector<CrossEntropyGrad>* grads = nullptr) {
  std::vector<CrossEntropyRow> rows;
  for (size_t t = 0; t < logits.size(); ++t) {
    const LogitsSummary s = summarize_logits(logits[t], targets[t]);
    rows.push_back({s.logp_target, s.lse, s.mean_logp, weights[t]});
  }
  std::vector<CrossEntropyGrad> local(rows.size());
  const double value = cross_entropy(params, rows, total, local);
  if (grads != nullptr) *grads = local;
  return value;
}

const std::vector<std::vector<float>> kLogits{
    {0.5f, -1.0f, 2.0f, 0.25f}, {1.5f, 1.0f, -0.5f, 0.0f}, {-2.0f, 0.125f, 3.0f, 1.0f}};
const std::vector<int64_t> kTargets{2, 3, 0};
const std::vector<double> kWeights{1.0, 0.5, 2.0};

TEST(CrossEntropy, GradientByFiniteDifferences) {
  const CrossEntropyParams params{0.1, 0.02};
  std::vector<CrossEntropyGrad> grads;
  loss_of(kLogits, kTargets, kWeights, params, 3.5, &grads);
  constexpr float kStep = 0x1p-10f;
  for (size_t t = 0; t < kLogits.size(); ++t) {
    std::vector<double> d(4);
    const double lse = summarize_logits(kLogits[t], kTargets[t]).lse;
    logits_grad(kLogits[t], kTargets[t], lse, grads[t], d);
    for (size_t v = 0; v < 4; ++v) {
      auto up = kLogits, down = kLogits;
      up[t][v] += kStep;
      down[t][v] -= kStep;
      const double slope = (loss_of(up, kTargets, kWeights, params, 3.5) -
                            loss_of(down, kTargets, kWeights, params, 3.5)) /
                           (2 * double{kStep});
      EXPECT_NEAR(d[v], slope, 1e-7);
    }
  }
}

TEST(CrossEntropy, UniformLogits) {
  const std::vector<float> logits(8, 3.0f);
  const LogitsSummary s = summarize_logits(logits, 5);
  EXPECT_NEAR(s.logp_target, -std::log(8.0), 1e-15);
  EXPECT_NEAR(s.mean_logp, -std::log(8.0), 1e-15);
  EXPECT_NEAR(s.entropy, std::log(8.0), 1e-14);
  EXPECT_NEAR(s.lse, 3 + std::log(8.0), 1e-15);
}

TEST(CrossEntropy, PartsAddUp) {
  const CrossEntropyParams params{0.1, 0.02};
  std::vector<CrossEntropyGrad> whole, first, rest;
  const double value = loss_of(kLogits, kTargets, kWeights, params, 3.5, &whole);
  double sum = loss_of({kLogits[0]}, {2}, {1.0}, params, 3.5, &first);
  sum += loss_of({kLogits[1], kLogits[2]}, {3, 0}, {0.5, 2.0}, params, 3.5, &rest);
  EXPECT_NEAR(sum, value, 1e-15);
  EXPECT_EQ(first[0].logp_target, whole[0].logp_target);
  EXPECT_EQ(rest[1].lse, whole[2].lse);
  EXPECT_EQ(rest[1].mean_logp, whole[2].mean_logp);
}

TEST(CrossEntropy, RowsWithoutWeightAreNotLookedAt) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<CrossEntropyRow> rows{{-1, 2, -3, 1}, {kNan, kNan, kNan, 0}};
  std::vector<CrossEntropyGrad> grads(2);
  EXPECT_EQ(cross_entropy({}, rows, 1, grads), 1.0);
  EXPECT_EQ(grads[0].logp_target, -1.0);
  EXPECT_EQ(grads[1].lse, 0.0);
  EXPECT_EQ(cross_entropy({}, std::span(rows).subspan(1), 0, std::span(grads).subspan(1)), 0.0);
}

}  // namespace
}  // namespace ponder
