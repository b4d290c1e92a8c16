#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <tuple>

namespace ponder {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Head size 8 and theta 10000: 1, 0.1, 0.01, 0.001 radians per position.
RopeConfig rope_of(RopeKind kind) {
  RopeConfig rope;
  rope.kind = kind;
  return rope;
}

void expect_frequencies(const std::vector<double>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-14 * want[i]) << i;
}

TEST(RopeFrequencies, PlainAndLinear) {
  expect_frequencies(rope_frequencies(rope_of(RopeKind::kNone), 8), {1, 0.1, 0.01, 0.001});
  RopeConfig linear = rope_of(RopeKind::kLinear);
  linear.factor = 4;
  expect_frequencies(rope_frequencies(linear, 8), {0.25, 0.025, 0.0025, 0.00025});
  RopeConfig other = rope_of(RopeKind::kNone);
  other.theta = 1e6;
  expect_frequencies(rope_frequencies(other, 4), {1, 0.001});
}

TEST(RopeFrequencies, Llama3KeepsFastWavesSlowsSlowOnesAndRampsBetween) {
  RopeConfig rope = rope_of(RopeKind::kLlama3);
  rope.factor = 8;
  rope.low_freq_factor = 1;
  rope.high_freq_factor = 4;
  rope.original_max_position_embeddings = 1000;
  // Turns over 1000 positions: 159 and 15.9 (kept), 1.59 (between), 0.159 (slowed).
  const double turns = 10 / (2 * kPi), smooth = (turns - 1) / 3;
  expect_frequencies(rope_frequencies(rope, 8),
                     {1, 0.1, 0.01 * ((1 - smooth) / 8 + smooth), 0.001 / 8});
}

TEST(RopeFrequencies, YarnMixesByHowOftenAWaveTurns) {
  RopeConfig rope = rope_of(RopeKind::kYarn);
  rope.factor = 4;
  rope.original_max_position_embeddings = 1000;
  rope.beta_fast = 32;
  rope.beta_slow = 1;
  // A wave turns r times at pair 8 ln(1000 / (2 pi r)) / (2 ln 10000): 0.697 for 32, 2.202 for 1.
  const double fast = 8 * std::log(1000 / (32 * 2 * kPi)) / (2 * std::log(10000.0));
  const double slow = 8 * std::log(1000 / (2 * kPi)) / (2 * std::log(10000.0));
  EXPECT_NEAR(fast, 0.6968, 1e-3);
  EXPECT_NEAR(slow, 2.2018, 1e-3);
  const auto mix = [](double f, double ramp) { return f / 4 * ramp + f * (1 - ramp); };
  expect_frequencies(rope_frequencies(rope, 8),  // bounds 0 and 3
                     {1, mix(0.1, 1.0 / 3), mix(0.01, 2.0 / 3), 0.001 / 4});
  rope.truncate = false;
  expect_frequencies(rope_frequencies(rope, 8), {1, mix(0.1, (1 - fast) / (slow - fast)),
                                                 mix(0.01, (2 - fast) / (slow - fast)), 0.001 / 4});
}

TEST(RopeFrequencies, DivisorsReplaceTheScaling) {
  const std::vector<float> divisors = {1, 2, 4, 8};
  RopeConfig linear = rope_of(RopeKind::kLinear);
  linear.factor = 4;
  expect_frequencies(rope_frequencies(linear, 8, divisors), {1, 0.05, 0.0025, 0.000125});
}

Config config_of(int64_t positions) {
  Config c = Config::of("llama");
  c.head_dim = 8;
  c.max_position_embeddings = positions;
  return c;
}

// Divisors as float32, as files have them, give the scaling that they came from.
TEST(RopeFrequencies, Llama3ScalingIsRecoveredFromItsDivisors) {
  RopeConfig rope = rope_of(RopeKind::kLlama3);
  rope.low_freq_factor = 1;
  RopeConfig plain;
  for (const int64_t head_dim : {32, 64, 128}) {
    for (const auto& [theta, factor, high, length] : {std::tuple{500000.0, 8.0, 4.0, 8192},
                                                      {500000.0, 32.0, 4.0, 8192},
                                                      {10000.0, 4.0, 6.5, 100}}) {
      rope.theta = plain.theta = theta;
      rope.factor = factor;
      rope.high_freq_factor = high;
      rope.original_max_position_embeddings = length;
      const std::vector<double> before = rope_frequencies(plain, head_dim);
      const std::vector<double> after = rope_frequencies(rope, head_dim);
      std::vector<float> divisors;
      for (size_t i = 0; i < before.size(); ++i) {
        divisors.push_back(static_cast<float>(before[i] / after[i]));
      }
      const auto got = llama3_of_divisors(theta, divisors);
      ASSERT_TRUE(got.has_value()) << head_dim << " " << theta << " " << factor;
      EXPECT_EQ(*got, rope);
      divisors[divisors.size() / 2] *= 1.001f;
      EXPECT_FALSE(llama3_of_divisors(theta, divisors).has_value());
    }
  }
  EXPECT_EQ(llama3_of_divisors(plain.theta, std::vector<float>(8, 1.0f)), plain);
  EXPECT_FALSE(llama3_of_divisors(1e4, std::vector<float>(8, 2.0f)).has_value());
  EXPECT_FALSE(llama3_of_divisors(1e4, std::vector<float>{1, 1, 1, 0.5f}).has_value());
}

TEST(RopeTable, HoldsCosinesThenSines) {
  Config c = config_of(1000);
  const auto table = RopeTable::create(c);
  ASSERT_TRUE(table.ok());
  const float* rows = table->rows(1);
  EXPECT_EQ(table->rows(1000), rows);  // the address stays
  for (int p : {0, 1, 255, 256, 999}) {
    for (int i = 0; i < 4; ++i) {
      const double angle = p * std::pow(10.0, -i);
      EXPECT_EQ(rows[p * 8 + i], static_cast<float>(std::cos(angle))) << p << " " << i;
      EXPECT_EQ(rows[p * 8 + 4 + i], static_cast<float>(std::sin(angle))) << p << " " << i;
    }
  }
  EXPECT_DEATH(table->rows(1001), "max_position_embeddings");
}

TEST(RopeTable, YarnScalesIt) {
  Config c = config_of(100);
  c.rope = rope_of(RopeKind::kYarn);
  c.rope.factor = 4;
  c.rope.original_max_position_embeddings = 25;
  const auto table = RopeTable::create(c);
  ASSERT_TRUE(table.ok());
  EXPECT_FLOAT_EQ(table->rows(1)[0], static_cast<float>(0.1 * std::log(4.0) + 1));  // cos 0
  c.rope.attention_factor = 0.5;
  EXPECT_FLOAT_EQ(RopeTable::create(c)->rows(1)[0], 0.5f);
}

TEST(RopeTable, MayBeAskedFromSeveralThreads) {
  const auto table = RopeTable::create(config_of(4096));
  ASSERT_TRUE(table.ok());
  const auto once = RopeTable::create(config_of(4096));
  const float* want = once->rows(4096);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t p = 1 + static_cast<int64_t>(t) * 7; p <= 4096; p += 61) {
        const float* rows = table->rows(p);
        wrong[t] += rows[(p - 1) * 8 + 5] != want[(p - 1) * 8 + 5] ? 1 : 0;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, (std::vector<int>(4, 0)));
}

}  // namespace
}  // namespace ponder
