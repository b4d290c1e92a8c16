#include "train/policy_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace ponder {
namespace {

// Three sequences, one of them with masked tokens that hold no numbers.
struct Case {
  std::vector<int64_t> offsets{0, 3, 5, 9};
  std::vector<float> logp{-1.0f, -2.5f, -0.5f, -3.0f, -1.5f, -0.25f, -2.0f, -1.0f, -4.0f};
  std::vector<float> logp_old{-1.25f, -2.0f,   -0.5625f, -2.875f, -2.0f,
                              -0.5f,  -1.875f, -1.5f,    -4.0f};
  std::vector<float> logp_ref{-1.5f, -2.0f, -0.75f, -3.5f, -1.25f, -0.5f, -2.5f, -0.5f, -4.25f};
  std::vector<float> logp_sampler{-1.0f,  -2.25f, -0.5f,  -2.5f, -2.25f,
                                  -0.75f, -1.75f, -1.25f, -4.5f};
  std::vector<uint8_t> mask{1, 1, 1, 1, 1, 1, 0, 1, 1};
  std::vector<double> advantages{1.25, -0.75, 0.5};

  PolicyBatch batch() const {
    return {offsets, logp, logp_old, logp_ref, logp_sampler, mask, advantages};
  }
  double value(const PolicyLossParams& params) const {
    std::vector<float> grad(logp.size());
    return policy_loss(params, batch(), policy_totals(batch()), grad).value;
  }
};

PolicyLossParams named(const std::string& name) {
  const PolicyLossName* row = find_policy_loss(name);
  PolicyLossParams params;
  params.objective = row->objective;
  params.normalizer = row->normalizer;
  params.level = row->level;
  params.max_len = 7;
  return params;
}

// Central differences. Where a factor is detached (cispo, k3plus, sequence_token) the value does
// not show the gradient: those are held to the goldens instead.
void expect_gradient(const PolicyLossParams& params, const std::string& what) {
  Case c;
  std::vector<float> grad(c.logp.size());
  policy_loss(params, c.batch(), policy_totals(c.batch()), grad);
  constexpr float kStep = 0x1p-10f;  // exact to add to these logps
  for (size_t i = 0; i < grad.size(); ++i) {
    Case up = c, down = c;
    up.logp[i] += kStep;
    down.logp[i] -= kStep;
    const double slope = (up.value(params) - down.value(params)) / (2 * double{kStep});
    EXPECT_NEAR(double{grad[i]}, slope, 2e-6) << what << ", token " << i;
  }
}

TEST(PolicyLoss, GradientsByFiniteDifferences) {
  for (const PolicyLossName& row : policy_loss_names()) {
    if (row.objective == PolicyObjective::kCispo) continue;
    for (RatioLevel level : {RatioLevel::kToken, RatioLevel::kSequence, RatioLevel::kSequenceSum}) {
      for (KlForm kl : {KlForm::kK1, KlForm::kK2, KlForm::kK3}) {
        for (bool bias : {false, true}) {
          PolicyLossParams params = named(std::string(row.name));
          params.level = level;
          params.beta = 0.3;
          params.kl = kl;
          params.kl_bias_correction = bias;
          expect_gradient(params, std::string(row.name));
        }
      }
    }
  }
}

TEST(PolicyLoss, GradientsOfCapsAndCorrections) {
  for (SamplerCorrection correction :
       {SamplerCorrection::kTruncateToken, SamplerCorrection::kMaskToken,
        SamplerCorrection::kTruncateSequence, SamplerCorrection::kMaskSequence}) {
    PolicyLossParams params = named("dapo");
    params.correction = correction;
    params.is_low = 0.8;
    params.is_cap = 1.2;
    params.delta = 1.15;
    params.dual_clip = 1.3;
    params.off_policy_delta = 0.1;
    params.log_ratio_clamp = 0.4;
    expect_gradient(params, "corrected");
  }
}

TEST(PolicyLoss, ValueByHand) {
  // One sequence, two tokens, r = e^0.5 (clipped at 1.2) and 1: -(1.2 + 1) 2 / 2.
  const std::vector<int64_t> offsets{0, 2};
  const std::vector<float> logp{-1.0f, -2.0f}, logp_old{-1.5f, -2.0f};
  const std::vector<double> advantages{2.0};
  const PolicyBatch batch{offsets, logp, logp_old, {}, {}, {}, advantages};
  std::vector<float> grad(2);
  const PolicyLoss loss = policy_loss(named("grpo"), batch, policy_totals(batch), grad);
  EXPECT_DOUBLE_EQ(loss.value, -2.2);
  EXPECT_EQ(grad[0], 0.0f);
  EXPECT_EQ(grad[1], -1.0f);
  EXPECT_NEAR(loss.stats.ratio_max, std::exp(0.5), 1e-15);
  EXPECT_EQ(loss.stats.ratio_min, 1.0);
  EXPECT_DOUBLE_EQ(loss.stats.ratio_mean(), (std::exp(0.5) + 1) / 2);
  EXPECT_EQ(loss.stats.clip_high(), 0.5);
  EXPECT_EQ(loss.stats.clip_low(), 0.0);
}

TEST(PolicyLoss, OnPolicyAllNamesOfOneNormaliserHaveOneGradient) {
  Case c;
  c.logp_old = c.logp;
  std::vector<float> reference(c.logp.size());
  policy_loss(named("reinforce"), c.batch(), policy_totals(c.batch()), reference);
  for (const char* name : {"dapo", "cispo"}) {
    std::vector<float> grad(c.logp.size());
    policy_loss(named(name), c.batch(), policy_totals(c.batch()), grad);
    EXPECT_EQ(grad, reference) << name;
  }
}

TEST(PolicyLoss, MaskedTokensAreNeverRead) {
  Case clean, dirty;
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (auto* values : {&dirty.logp, &dirty.logp_old, &dirty.logp_ref, &dirty.logp_sampler}) {
    (*values)[6] = kNan;
  }
  PolicyLossParams params = named("gspo");
  params.beta = 0.1;
  params.correction = SamplerCorrection::kTruncateSequence;
  std::vector<float> a(9), b(9);
  const PolicyLoss x = policy_loss(params, clean.batch(), policy_totals(clean.batch()), a);
  const PolicyLoss y = policy_loss(params, dirty.batch(), policy_totals(dirty.batch()), b);
  EXPECT_EQ(x.value, y.value);
  EXPECT_EQ(a, b);
  EXPECT_EQ(b[6], 0.0f);
}

// Answers without variance may be left out of the calls: the totals keep the rest as it was.
TEST(PolicyLoss, SequencesThatAddNothingMayBeSkipped) {
  Case c;
  c.advantages[1] = 0;
  for (const PolicyLossName& row : policy_loss_names()) {
    if (row.normalizer == PolicyNormalizer::kLocalTokens) continue;
    const PolicyLossParams params = named(std::string(row.name));
    const PolicyTotals totals = policy_totals(c.batch());
    std::vector<float> whole(9), first(3), last(4);
    const double value = policy_loss(params, c.batch(), totals, whole).value;
    const std::vector<int64_t> three{0, 3}, four{0, 4};
    const auto part = [&](const std::vector<int64_t>& offsets, size_t at, size_t n, size_t i) {
      return PolicyBatch{
          offsets, std::span(c.logp).subspan(at, n), std::span(c.logp_old).subspan(at, n), {},
          {},      std::span(c.mask).subspan(at, n), std::span(c.advantages).subspan(i, 1)};
    };
    double sum = policy_loss(params, part(three, 0, 3, 0), totals, first).value;
    sum += policy_loss(params, part(four, 5, 4, 2), totals, last).value;
    EXPECT_DOUBLE_EQ(sum, value) << row.name;
    EXPECT_EQ(first, std::vector<float>(whole.begin(), whole.begin() + 3)) << row.name;
    EXPECT_EQ(last, std::vector<float>(whole.begin() + 5, whole.end())) << row.name;
  }
}

TEST(PolicyLoss, LocalTokensIsTheMeanOverMicroBatches) {
  Case c;
  const PolicyLossParams params = named("bnpo");
  PolicyTotals totals = policy_totals(c.batch());
  std::vector<float> grad(9), halved(9);
  const double value = policy_loss(params, c.batch(), totals, grad).value;
  totals.micro_batches = 2;
  EXPECT_EQ(policy_loss(params, c.batch(), totals, halved).value, value / 2);
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(halved[i], grad[i] / 2);
}

TEST(PolicyLoss, NothingTrained) {
  Case c;
  c.mask.assign(9, 0);
  for (const PolicyLossName& row : policy_loss_names()) {
    std::vector<float> grad(9, 5.0f);
    const PolicyLoss loss =
        policy_loss(named(std::string(row.name)), c.batch(), policy_totals(c.batch()), grad);
    EXPECT_EQ(loss.value, 0.0);
    EXPECT_EQ(grad, std::vector<float>(9, 0.0f));
    EXPECT_EQ(loss.stats.ratio_min, 1.0);
    EXPECT_EQ(loss.stats.ratio_max, 1.0);
    EXPECT_EQ(loss.stats.clip_low(), 0.0);
  }
  const std::vector<int64_t> none{0};
  std::vector<float> grad;
  EXPECT_EQ(policy_loss(named("dapo"), {none, {}, {}, {}, {}, {}, {}}, {}, grad).value, 0.0);
}

TEST(PolicyLoss, HugeRatiosStayFiniteWhereTheyCan) {
  Case c;
  c.logp_old[0] = -2000.0f;  // r overflows; A > 0, so the clip holds it
  std::vector<float> grad(9);
  PolicyLossParams params = named("grpo");
  EXPECT_TRUE(std::isfinite(policy_loss(params, c.batch(), policy_totals(c.batch()), grad).value));
  for (float g : grad) EXPECT_TRUE(std::isfinite(g));
  c.advantages[0] = 0;
  EXPECT_TRUE(std::isfinite(policy_loss(params, c.batch(), policy_totals(c.batch()), grad).value));
  c.advantages[0] = -1;
  EXPECT_TRUE(std::isinf(policy_loss(params, c.batch(), policy_totals(c.batch()), grad).value));
  params.log_ratio_clamp = 20;
  EXPECT_TRUE(std::isfinite(policy_loss(params, c.batch(), policy_totals(c.batch()), grad).value));
  EXPECT_EQ(grad[0], 0.0f);
}

TEST(PolicyLoss, KlIsMeasuredWithoutBeta) {
  Case c;
  const PolicyLossParams params = named("dapo");
  std::vector<float> with(9), without(9);
  const PolicyLoss a = policy_loss(params, c.batch(), policy_totals(c.batch()), with);
  EXPECT_GT(a.stats.kl(), 0.0);
  c.logp_ref.clear();
  const PolicyLoss b = policy_loss(params, c.batch(), policy_totals(c.batch()), without);
  EXPECT_EQ(b.stats.kl(), 0.0);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(with, without);
}

TEST(PolicyLoss, Names) {
  EXPECT_EQ(find_policy_loss("ppo"), nullptr);
  EXPECT_EQ(policy_loss_names().size(), 9u);
  EXPECT_EQ(find_policy_loss("gspo")->level, RatioLevel::kSequence);
  EXPECT_EQ(ratio_level_from("sequence_sum"), RatioLevel::kSequenceSum);
  EXPECT_EQ(ratio_level_from("Token"), std::nullopt);
  EXPECT_EQ(kl_form_from("k3plus"), KlForm::kK3Plus);
  EXPECT_EQ(sampler_correction_from("mask_token"), SamplerCorrection::kMaskToken);
  EXPECT_EQ(name_of(policy_normalizer_from("constant").value()), "constant");
}

}  // namespace
}  // namespace ponder
