#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace ponder {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
const std::vector<int32_t> kNone;

using Ids = std::vector<int32_t>;

Distribution chain(const std::vector<float>& logits, const SamplingParams& params,
                   const Ids& prompt = {}, const Ids& generated = {}) {
  Sampler sampler;
  auto result = sampler.distribution(logits, params, prompt, generated);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return result.ok() ? *std::move(result) : Distribution{};
}

// Deterministic logits, heavy with ties: multiples of 1/8 in [-8, 8).
std::vector<float> coarse_logits(size_t count, uint32_t seed) {
  std::vector<float> logits(count);
  for (float& logit : logits) {
    seed = seed * 1664525u + 1013904223u;
    logit = static_cast<float>(static_cast<int>(seed >> 25) - 64) / 8.0f;
  }
  return logits;
}

// The definition, by a full sort: ids kept when the ids in `order` are taken while the mass before
// is below `mass`.
Ids prefix_by_full_sort(const Ids& order, const std::vector<double>& p, double mass) {
  Ids kept;
  double before = 0;
  for (int32_t id : order) {
    if (!kept.empty() && !(before < mass)) break;
    kept.push_back(id);
    before += p[static_cast<size_t>(id)];
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

Ids rank_order(const std::vector<double>& key) {  // larger first, then the smaller id
  Ids order(key.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return key[static_cast<size_t>(a)] > key[static_cast<size_t>(b)];
  });
  return order;
}

TEST(Sampler, DefaultsAreTheSoftmax) {
  const Distribution d = chain({0.0f, 1.0f, kMinusInfinity, 3.0f}, {});
  EXPECT_EQ(d.ids, (Ids{0, 1, 3}));
  const double total = 1 + std::exp(1.0) + std::exp(3.0);
  EXPECT_NEAR(d.probabilities[0], 1 / total, 1e-15);
  EXPECT_NEAR(d.probabilities[1], std::exp(1.0) / total, 1e-15);
  EXPECT_NEAR(d.probabilities[2], std::exp(3.0) / total, 1e-15);
}

TEST(Sampler, GreedyTakesTheSmallestIdAmongEquals) {
  SamplingParams params;
  params.temperature = 0;
  params.top_k = 3;
  params.top_p = 0.5;
  const std::vector<float> logits{1.0f, 5.0f, 5.0f, 2.0f};
  const Distribution d = chain(logits, params);
  EXPECT_EQ(d.ids, (Ids{1}));
  EXPECT_EQ(d.probabilities, (std::vector<double>{1.0}));
  Sampler sampler;
  for (double u : {0.0, 0.5, 0.9999999}) {
    EXPECT_EQ(*sampler.sample(logits, params, kNone, kNone, u), 1);
  }
  params.suppress = {1, 2};
  EXPECT_EQ(*sampler.sample(logits, params, kNone, kNone, 0.5), 3);
}

TEST(Sampler, SelectionEqualsAFullSortOnALargeVocabulary) {
  for (uint32_t seed : {1u, 2u, 3u}) {
    const std::vector<float> logits = coarse_logits(20000, seed);
    std::vector<double> p(logits.size()), key(logits.begin(), logits.end());
    const Distribution all = chain(logits, {});
    for (size_t i = 0; i < p.size(); ++i) p[i] = all.probabilities[i];
    const Ids order = rank_order(key);

    for (int32_t k : {1, 2, 63, 64, 65, 1000, 19999, 20000, 30000}) {
      SamplingParams params;
      params.top_k = k;
      Ids expected(order.begin(), order.begin() + std::min(k, 20000));
      std::sort(expected.begin(), expected.end());
      EXPECT_EQ(chain(logits, params).ids, expected) << k;
    }
    double entropy = 0;
    for (double x : p) entropy -= x * std::log(x);
    std::vector<double> typical(p.size());
    // log are.
    for (size_t i = 0; i < p.size(); ++i) typical[i] = -std::fabs(-std::log(p[i]) - entropy);
    const Ids typical_order = rank_order(typical);
    for (double mass : {0.0, 0.013, 0.31, 0.77, 0.951, 0.9993}) {
      SamplingParams params;
      params.top_p = mass;
      EXPECT_EQ(chain(logits, params).ids, prefix_by_full_sort(order, p, mass)) << mass;
      params = {};
      params.typical_p = mass;
      EXPECT_EQ(chain(logits, params).ids, prefix_by_full_sort(typical_order, p, mass)) << mass;
    }
  }
}

TEST(Sampler, ThresholdsTreatEqualTokensAlikeAndFloorsGoByRank) {
  const std::vector<float> logits{2.0f, 0.0f, 2.0f, 1.0f, 1.0f};
  SamplingParams params;
  params.min_p = 1;
  EXPECT_EQ(chain(logits, params).ids, (Ids{0, 2}));
  params.min_tokens_to_keep = MinTokensToKeep::all(3);
  EXPECT_EQ(chain(logits, params).ids, (Ids{0, 2, 3}));
  params.min_tokens_to_keep = MinTokensToKeep::all(99);
  EXPECT_EQ(chain(logits, params).ids, (Ids{0, 1, 2, 3, 4}));
  params = {};
  params.epsilon_cutoff = 1;
  EXPECT_EQ(chain(logits, params).ids, (Ids{0}));
  params.min_tokens_to_keep.epsilon_cutoff = 4;
  EXPECT_EQ(chain(logits, params).ids, (Ids{0, 2, 3, 4}));
}

TEST(Sampler, FiltersSeeRenormalisedProbabilities) {
  const std::vector<float> logits{0.0f, 0.0f, 0.0f, 0.0f};
  SamplingParams params;
  params.top_k = 2;
  params.top_p = 0.5;  // of the two that top_k left, the first has the mass 0.5
  EXPECT_EQ(chain(logits, params).ids, (Ids{0}));
}

TEST(Sampler, HistorySteps) {
  const std::vector<float> logits{0.0f, 1.0f, -1.0f, 2.0f};
  SamplingParams params;
  params.no_repeat_ngram = 2;  // 1 0 and 1 3 came before, and 1 is the last token
  EXPECT_EQ(chain(logits, params, {1, 0, 1}, {3, 1}).ids, (Ids{1, 2}));
  params = {};
  params.min_new_tokens = 2;
  params.stop_ids = {3};
  EXPECT_EQ(chain(logits, params, {}, {0}).ids, (Ids{0, 1, 2}));
  EXPECT_EQ(chain(logits, params, {}, {0, 0}).ids, (Ids{0, 1, 2, 3}));

  params = {};
  params.repetition_penalty = 2;  // 1 and 2 once each, however often they came
  params.frequency_penalty = 0.25;
  params.presence_penalty = 0.125;
  const Distribution d = chain(logits, params, {1, 2, 1}, {2, 2});
  const std::vector<double> adjusted{0, 0.5, -2 - 2 * 0.25 - 0.125, 2};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(std::log(d.probabilities[i] / d.probabilities[0]), adjusted[i], 1e-14) << i;
  }
}

TEST(Sampler, CallsDoNotInfluenceEachOther) {
  const std::vector<float> logits = coarse_logits(500, 7);
  SamplingParams busy;
  busy.repetition_penalty = 1.5;
  busy.frequency_penalty = 1;
  busy.top_p = 0.9;
  busy.min_p = 0.01;
  const Ids prompt{1, 2, 3, 3}, generated{4, 4, 5};
  Sampler sampler;
  const auto first = sampler.distribution(logits, busy, prompt, generated);
  ASSERT_TRUE(sampler.distribution(std::vector<float>(3, 0.0f), {}, kNone, kNone).ok());
  ASSERT_FALSE(sampler.distribution(logits, busy, Ids{500}, generated).ok());
  const auto again = sampler.distribution(logits, busy, prompt, generated);
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(first->ids, again->ids);
  EXPECT_EQ(first->probabilities, again->probabilities);
}

TEST(Sampler, ExtremeLogitsStayFinite) {
  const float huge = std::numeric_limits<float>::max();
  SamplingParams params;
  params.temperature = 1e-6;
  params.top_p = 0.99;
  EXPECT_EQ(chain({-huge, 0.0f, huge}, params).ids, (Ids{2}));
  // Far tokens have probability 0 but were not removed; none of them is ever drawn.
  Sampler sampler;
  const std::vector<float> logits{-huge, 0.0f, -huge};
  EXPECT_EQ(chain(logits, {}).ids, (Ids{0, 1, 2}));
  EXPECT_EQ(*sampler.sample(logits, {}, kNone, kNone, 0.0), 1);
  EXPECT_EQ(*sampler.sample(logits, {}, kNone, kNone, 0x1.fffffffffffffp-1), 1);
}

void expect_error(const std::vector<float>& logits, const SamplingParams& params,
                  const std::string& part, const Ids& prompt = {}) {
  Sampler sampler;
  const auto result = sampler.sample(logits, params, prompt, kNone, 0.5);
  ASSERT_FALSE(result.ok()) << part;
  EXPECT_EQ(result.status().code(), Code::kInvalid);
  EXPECT_NE(result.status().message().find(part), std::string::npos) << result.status().message();
}

TEST(Sampler, ErrorsNameTheCause) {
  const std::vector<float> logits(4, 0.0f);
  SamplingParams params;
  params.suppress = {0, 1, 2, 3};
  expect_error(logits, params, "no token is left");
  expect_error(std::vector<float>(4, kMinusInfinity), {}, "no token is left");
  expect_error({0.0f, std::numeric_limits<float>::quiet_NaN()}, {}, "token 1 is nan");
  expect_error({-kMinusInfinity, 0.0f}, {}, "token 0 is inf");
  params = {};
  params.no_repeat_ngram = 1;
  expect_error(logits, params, "prompt: token id 4 is outside the vocabulary of 4", {4});
  expect_error(logits, params, "prompt: token id -1 is outside the vocabulary of 4", {-1});
}

TEST(SamplingParams, ValidateNamesTheParameterAndItsRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto message = [](auto change) {
    SamplingParams params;
    change(params);
    return params.validate(10).message();
  };
  EXPECT_EQ(message([](SamplingParams&) {}), "");
  EXPECT_EQ(message([](SamplingParams& p) { p.temperature = 0; }), "");
  EXPECT_EQ(message([](SamplingParams& p) { p.temperature = -1; }),
            "temperature must be 0 (greedy) or from 1e-06 to 1000000, not -1");
  EXPECT_EQ(message([](SamplingParams& p) { p.top_p = 1.5; }),
            "top_p must be from 0 to 1, not 1.5");
  EXPECT_EQ(message([](SamplingParams& p) { p.top_k = -1; }), "top_k must be at least 0, not -1");
  EXPECT_EQ(message([](SamplingParams& p) {
              p.stop_ids = {3, 10};
            }),
            "stop_ids: token id 10 is outside the vocabulary of 10");
  EXPECT_EQ(message([](SamplingParams& p) {
              p.logit_bias = {{-1, 0.0}};
            }),
            "logit_bias: token id -1 is outside the vocabulary of 10");
  for (double SamplingParams::*member :
       {&SamplingParams::repetition_penalty, &SamplingParams::frequency_penalty,
        &SamplingParams::presence_penalty, &SamplingParams::temperature, &SamplingParams::typical_p,
        &SamplingParams::top_p, &SamplingParams::min_p, &SamplingParams::epsilon_cutoff,
        &SamplingParams::eta_cutoff}) {
    EXPECT_NE(message([&](SamplingParams& p) { p.*member = nan; }), "");
    EXPECT_NE(message([&](SamplingParams& p) { p.*member = 1e300; }), "");
  }
  EXPECT_NE(message([](SamplingParams& p) { p.min_tokens_to_keep.top_p = 0; }), "");
  EXPECT_NE(message([](SamplingParams& p) { p.repetition_penalty = 0; }), "");
  EXPECT_NE(message([](SamplingParams& p) {
              p.min_new_tokens = 5;
              p.max_new_tokens = 4;
            }),
            "");
}

TEST(InverseCdf, BoundariesAndRounding) {
  const std::vector<double> p{0.0, 0.25, 0.0, 0.25, 0.5, 0.0};
  EXPECT_EQ(inverse_cdf(p, 0.0), 1u);
  EXPECT_EQ(inverse_cdf(p, 0.25), 3u);
  EXPECT_EQ(inverse_cdf(p, 0.5), 4u);
  // A sum that rounding leaves short: the last id with a probability.
  EXPECT_EQ(inverse_cdf(std::vector<double>{0.5, 0.25, 0.0}, 0.9), 1u);
}

}  // namespace
}  // namespace ponder
