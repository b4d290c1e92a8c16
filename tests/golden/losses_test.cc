// Policy losses, advantages and cross-entropy against goldens/losses. Its README allows f32 kernels
// 1e-5 of the largest entry (2e-4 for the wild cases); these run in f64 and are held to more:
// values to 1e-9, gradients to the rounding of the f32 they are kept in.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "train/advantages.h"
#include "train/cross_entropy.h"
#include "train/policy_loss.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

constexpr double kTolerance = 1e-9;
constexpr double kGradTolerance = 2e-7;

std::vector<Json> read_rows(const std::string& name) {
  const std::string path = std::string(PONDER_SOURCE_DIR) + "/../shared/goldens/losses/" + name;
  std::vector<Json> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) rows.push_back(Json::parse(line));
  }
  return rows;
}

#define READ_OR_SKIP(rows, name)                  \
  const std::vector<Json> rows = read_rows(name); \
  if (rows.empty()) GTEST_SKIP() << "SKIPPED: no ../shared/goldens/losses/" << name

double off_if_null(const Json& value) { return value.is_null() ? kPolicyOff : value.get<double>(); }

PolicyLossParams read_params(const Json& p) {
  PolicyLossParams out;
  out.objective = find_policy_loss(p.at("loss").get<std::string>())->objective;
  out.normalizer = policy_normalizer_from(p.at("normalizer").get<std::string>()).value();
  out.level = ratio_level_from(p.at("level").get<std::string>()).value();
  out.eps_low = p.at("eps_low");
  out.eps_high = p.at("eps_high");
  out.delta = off_if_null(p.at("delta"));
  out.dual_clip = off_if_null(p.at("dual_clip"));
  out.log_ratio_clamp = off_if_null(p.at("log_ratio_clamp"));
  out.cispo_max = p.at("cispo_max");
  out.sapo_pos = p.at("sapo_pos");
  out.sapo_neg = p.at("sapo_neg");
  out.off_policy_delta = off_if_null(p.at("off_policy_delta"));
  const Json& correction = p.at("is_correction");
  out.correction =
      sampler_correction_from(correction.is_null() ? "none" : correction.get<std::string>())
          .value();
  out.is_low = p.at("is_low");
  out.is_cap = p.at("is_cap");
  out.beta = p.at("beta");
  out.kl = kl_form_from(p.at("kl").get<std::string>()).value();
  out.kl_bias_correction = p.at("kl_bias_correction");
  out.max_len = p.at("max_len");
  return out;
}

template <typename T>
std::vector<T> flatten(const Json& row, const char* key) {
  std::vector<T> out;
  if (!row.contains(key)) return out;
  for (const Json& sequence : row.at(key)) {
    for (const Json& value : sequence) out.push_back(value.get<T>());
  }
  return out;
}

struct PolicyCase {
  std::vector<int64_t> offsets{0};
  std::vector<float> logp, logp_old, logp_ref, logp_sampler;
  std::vector<uint8_t> mask;
  std::vector<double> advantages, grad;
  PolicyTotals totals;

  explicit PolicyCase(const Json& row)
      : logp(flatten<float>(row, "logp")),
        logp_old(flatten<float>(row, "logp_old")),
        logp_ref(flatten<float>(row, "logp_ref")),
        logp_sampler(flatten<float>(row, "logp_sampler")),
        mask(flatten<uint8_t>(row, "mask")),
        advantages(row.at("advantages").get<std::vector<double>>()),
        grad(flatten<double>(row, "grad")) {
    for (const Json& sequence : row.at("logp")) {
      offsets.push_back(offsets.back() + static_cast<int64_t>(sequence.size()));
    }
    totals = policy_totals(batch());
    const Json& tokens = row.at("params").at("global_tokens");
    if (!tokens.is_null()) totals.tokens = tokens;
  }

  PolicyBatch batch() const {
    return {offsets, logp, logp_old, logp_ref, logp_sampler, mask, advantages};
  }
};

TEST(GoldenLosses, Policy) {
  READ_OR_SKIP(rows, "policy.jsonl");
  EXPECT_EQ(rows.size(), 63u);
  for (const Json& row : rows) {
    SCOPED_TRACE(row.at("name").get<std::string>());
    const PolicyCase c(row);
    std::vector<float> grad(c.logp.size(), 7.0f);
    const PolicyLoss loss = policy_loss(read_params(row.at("params")), c.batch(), c.totals, grad);
    const double value = row.at("value");
    EXPECT_NEAR(loss.value, value, kTolerance * std::max(1.0, std::abs(value)));
    double largest = 0;
    for (double g : c.grad) largest = std::max(largest, std::abs(g));
    ASSERT_EQ(c.grad.size(), grad.size());
    for (size_t i = 0; i < grad.size(); ++i) {
      EXPECT_NEAR(double{grad[i]}, c.grad[i], kGradTolerance * largest) << "token " << i;
    }
    const Json& metrics = row.at("metrics");
    const PolicyStats& s = loss.stats;
    EXPECT_NEAR(s.ratio_min, metrics.at("ratio_min"), kTolerance);
    EXPECT_NEAR(s.ratio_max, metrics.at("ratio_max"), kTolerance * s.ratio_max);
    if (metrics.contains("clip_low")) {
      EXPECT_NEAR(s.clip_low(), metrics.at("clip_low"), kTolerance);
      EXPECT_NEAR(s.clip_high(), metrics.at("clip_high"), kTolerance);
    }
    if (metrics.contains("kl")) {
      EXPECT_NEAR(s.kl(), metrics.at("kl"), kTolerance);
    }
  }
}

// A loss's name alone stands for the form and, but for one row that tries another, the normaliser
// of the golden.
TEST(GoldenLosses, NamesOfPolicyLosses) {
  READ_OR_SKIP(rows, "policy.jsonl");
  for (const Json& row : rows) {
    if (row.at("name") == "reinforce_constant") continue;
    const PolicyLossName* name = find_policy_loss(row.at("params").at("loss").get<std::string>());
    ASSERT_NE(name, nullptr);
    EXPECT_EQ(name_of(name->normalizer), row.at("params").at("normalizer").get<std::string>())
        << row.at("name");
  }
}

// Every case cut at every sequence, and into single sequences: values add up, gradients are equal
// to the bit, metrics merge.
TEST(GoldenLosses, PolicyInMicroBatches) {
  READ_OR_SKIP(rows, "policy.jsonl");
  for (const Json& row : rows) {
    SCOPED_TRACE(row.at("name").get<std::string>());
    const PolicyLossParams params = read_params(row.at("params"));
    if (params.normalizer == PolicyNormalizer::kLocalTokens) continue;  // depends on the split
    const PolicyCase c(row);
    std::vector<float> whole(c.logp.size());
    const PolicyLoss expected = policy_loss(params, c.batch(), c.totals, whole);
    const size_t count = c.advantages.size();
    for (size_t step = 1; step < count; ++step) {
      std::vector<float> grad(c.logp.size());
      PolicyLoss sum;
      for (size_t begin = 0; begin < count; begin += step) {
        const size_t end = std::min(count, begin + step);
        const size_t at = static_cast<size_t>(c.offsets[begin]);
        const size_t size = static_cast<size_t>(c.offsets[end]) - at;
        std::vector<int64_t> offsets;
        for (size_t i = begin; i <= end; ++i) offsets.push_back(c.offsets[i] - c.offsets[begin]);
        const auto part = [&](const auto& all) {
          return all.empty() ? std::span(all) : std::span(all).subspan(at, size);
        };
        const PolicyBatch batch{offsets,
                                part(c.logp),
                                part(c.logp_old),
                                part(c.logp_ref),
                                part(c.logp_sampler),
                                part(c.mask),
                                std::span(c.advantages).subspan(begin, end - begin)};
        const PolicyLoss loss =
            policy_loss(params, batch, c.totals, std::span(grad).subspan(at, size));
        sum.value += loss.value;
        sum.stats.merge(loss.stats);
      }
      EXPECT_NEAR(sum.value, expected.value, 1e-13 * std::max(1.0, std::abs(expected.value)));
      EXPECT_EQ(grad, whole);
      EXPECT_EQ(sum.stats.ratio_min, expected.stats.ratio_min);
      EXPECT_EQ(sum.stats.ratio_max, expected.stats.ratio_max);
      EXPECT_EQ(sum.stats.clip_low(), expected.stats.clip_low());
      EXPECT_EQ(sum.stats.clip_high(), expected.stats.clip_high());
      EXPECT_NEAR(sum.stats.kl(), expected.stats.kl(), 1e-13);
    }
  }
}

TEST(GoldenLosses, Advantages) {
  READ_OR_SKIP(rows, "advantages.jsonl");
  EXPECT_EQ(rows.size(), 60u);
  for (const Json& row : rows) {
    const std::string kind = row.at("kind");
    SCOPED_TRACE(kind + " " + row.at("rewards").dump());
    std::vector<double> rewards;
    for (const Json& group : row.at("rewards")) {
      for (const Json& answer : group) {
        for (const Json& reward : answer) rewards.push_back(reward);
      }
    }
    const auto weights = row.at("weights").get<std::vector<double>>();
    const auto group = static_cast<int64_t>(row.at("rewards").at(0).size());
    const Advantages got = compute_advantages(advantage_kind_from(kind).value(), row.at("epsilon"),
                                              group, weights, rewards);
    const auto expected = flatten<double>(row, "advantages");
    ASSERT_EQ(got.values.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(got.values[i], expected[i], kTolerance) << "answer " << i;
    }
    EXPECT_DOUBLE_EQ(got.frac_zero_std(), row.at("frac_zero_std"));
  }
}

TEST(GoldenLosses, CrossEntropy) {
  READ_OR_SKIP(rows, "cross_entropy.jsonl");
  EXPECT_EQ(rows.size(), 8u);
  for (const Json& row : rows) {
    const auto logits = row.at("logits").get<std::vector<std::vector<float>>>();
    const auto weights = row.at("weights").get<std::vector<double>>();
    const auto expected = row.at("grad").get<std::vector<std::vector<double>>>();
    std::vector<CrossEntropyRow> summaries;
    std::vector<int64_t> targets;
    double total = 0;
    for (size_t t = 0; t < logits.size(); ++t) {
      targets.push_back(
          std::max<int64_t>(row.at("targets").at(t).get<int64_t>(), 0));  // -100 has weight 0
      const LogitsSummary s = summarize_logits(logits[t], targets[t]);
      EXPECT_NEAR(s.logp_target, row.at("logprobs").at(t), kTolerance);
      EXPECT_NEAR(s.entropy, row.at("entropy").at(t), kTolerance);
      summaries.push_back({s.logp_target, s.lse, s.mean_logp, weights[t]});
      total += weights[t];
    }
    std::vector<CrossEntropyGrad> grads(summaries.size());
    const CrossEntropyParams params{row.at("label_smoothing"), row.at("z_loss")};
    const double value = cross_entropy(params, summaries, total, grads);
    EXPECT_NEAR(value, row.at("value"), kTolerance * std::max(1.0, std::abs(value)));
    for (size_t t = 0; t < logits.size(); ++t) {
      std::vector<double> d(logits[t].size());
      logits_grad(logits[t], targets[t], summaries[t].lse, grads[t], d);
      for (size_t v = 0; v < d.size(); ++v) EXPECT_NEAR(d[v], expected[t][v], kTolerance);
    }
  }
}

}  // namespace
}  // namespace ponder
