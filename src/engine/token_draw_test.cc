#include "engine/token_draw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/rng.h"
#include "ops/cpu/kernels.h"

namespace ponder {
namespace {

std::vector<float> random_logits(size_t n, uint64_t index) {
  Rng rng(3, hash64("token draw"), index);
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(3 * rng.normal());
  return out;
}

int32_t draw(const std::vector<float>& logits, const SamplingParams& params, double u) {
  TokenDraw d;
  auto token = d.draw(logits, params, {}, {}, u);
  EXPECT_TRUE(token.ok()) << token.status().message();
  return token.ok() ? *token : -1;
}

TEST(TokenDraw, FastPathIsForTemperatureAlone) {
  SamplingParams p;
  EXPECT_TRUE(only_temperature(p));
  p.temperature = 0.6;
  p.max_new_tokens = 5;
  p.stop_ids = {1};
  p.seed = 9;
  EXPECT_TRUE(only_temperature(p));
  const auto changed = [](auto change) {
    SamplingParams q;
    change(q);
    return only_temperature(q);
  };
  EXPECT_FALSE(changed([](SamplingParams& q) { q.top_p = 0.95; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.top_k = 1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.min_p = 0.1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.typical_p = 0.1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.epsilon_cutoff = 0.1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.eta_cutoff = 0.1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.min_new_tokens = 1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.no_repeat_ngram = 1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.repetition_penalty = 1.1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.frequency_penalty = 1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.presence_penalty = 1; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.suppress = {1}; }));
  EXPECT_FALSE(changed([](SamplingParams& q) { q.logit_bias = {{1, 1.0}}; }));
  EXPECT_TRUE(changed([](SamplingParams& q) { q.top_p = 0.5, q.temperature = 0; }));
}

TEST(TokenDraw, AgreesWithTheChainAwayFromBoundaries) {
  int differ = 0;
  for (uint64_t i = 0; i < 400; ++i) {
    const std::vector<float> logits = random_logits(16 + 37 * (i % 9), i);
    SamplingParams params;
    params.temperature = i % 3 == 0 ? 1.0 : i % 3 == 1 ? 0.6 : 1.7;
    const double u = uniform_at(1, 2, i);
    Sampler chain;
    differ += draw(logits, params, u) != *chain.sample(logits, params, {}, {}, u) ? 1 : 0;
    params.temperature = 0;
    EXPECT_EQ(draw(logits, params, u), *chain.sample(logits, params, {}, {}, u));
  }
  EXPECT_LE(differ, 1);  // a boundary within 1e-6 of u
}

TEST(TokenDraw, FrequenciesAreTheProbabilities) {
  const std::vector<float> logits{0.0f, 1.0f, -1.0f, 2.0f};
  SamplingParams params;
  params.temperature = 2;
  std::vector<int> counts(4);
  constexpr int kDraws = 40000;
  for (int i = 0; i < kDraws; ++i)
    ++counts[static_cast<size_t>(draw(logits, params, (i + 0.5) / kDraws))];
  double total = 0;
  for (float l : logits) total += std::exp(l / 2.0);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(counts[i], kDraws * std::exp(logits[i] / 2.0) / total, 1.01) << i;
  }
}

TEST(TokenDraw, ExtremesOfUNeverChooseAnImpossibleToken) {
  const double almost_one = 0x1.fffffffffffffp-1;
  const std::vector<float> logits{-200.0f, 0.0f, -1e30f, 0.0f, -150.0f};
  EXPECT_EQ(draw(logits, {}, 0.0), 1);
  EXPECT_EQ(draw(logits, {}, almost_one), 3);
  EXPECT_EQ(draw(logits, {}, 0.5), 3);  // the first id whose partial sum exceeds 1
  for (uint64_t i = 0; i < 200; ++i) {
    EXPECT_GE(draw(random_logits(1 + i, i), {}, 1 - 0x1p-53), 0);
  }
}

TEST(TokenDraw, EveryInstructionSetDrawsTheSame) {
  const Kernels& best = kernels();
  for (uint64_t i = 0; i < 200; ++i) {
    const std::vector<float> logits = random_logits(1 + 7 * i, i);
    SamplingParams params;
    params.temperature = 0.1 + 0.01 * static_cast<double>(i);
    const double u = uniform_at(5, 6, i);
    const int32_t expected = draw(logits, params, u);
    for (const Kernels* table : available_kernels()) {
      set_kernels(*table);
      EXPECT_EQ(draw(logits, params, u), expected) << table->isa;
    }
    set_kernels(best);
  }
}

TEST(TokenDraw, LogitsThatAreNotNumbersAreAnErrorThatNamesThem) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (size_t n : {3u, 16u, 40u}) {
    for (size_t at = 0; at < n; at += n / 3) {
      for (double temperature : {0.0, 1.0, 0.7}) {
        for (float bad : {nan, infinity}) {
          std::vector<float> logits = random_logits(n, n);
          logits[at] = bad;
          SamplingParams params;
          params.temperature = temperature;
          TokenDraw d;
          const auto token = d.draw(logits, params, {}, {}, 0.5);
          ASSERT_FALSE(token.ok()) << n << ' ' << at << ' ' << temperature << ' ' << bad;
          EXPECT_NE(token.status().message().find("token " + std::to_string(at)), std::string::npos)
              << token.status().message();
        }
      }
    }
  }
  TokenDraw d;
  EXPECT_FALSE(d.draw(std::vector<float>(5, -infinity), {}, {}, {}, 0.5).ok());
  SamplingParams greedy;
  greedy.temperature = 0;
  EXPECT_FALSE(d.draw(std::vector<float>(5, -infinity), greedy, {}, {}, 0.5).ok());
  EXPECT_EQ(draw({-infinity, 1.0f, -infinity}, {}, 0.5), 1);
}

}  // namespace
}  // namespace ponder
