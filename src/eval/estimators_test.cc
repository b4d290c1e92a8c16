#include "eval/estimators.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <map>

#include "core/rng.h"

namespace ponder {
namespace {

Votes votes(std::string gold, std::vector<std::optional<std::string>> keys) {
  return {std::move(gold), std::move(keys)};
}

TEST(Estimate, ClustersAndTwoPasses) {
  EXPECT_FALSE(estimate({0.3}).stderr_of_mean.has_value());
  EXPECT_EQ(estimate({0.1, 0.1, 0.1}).mean, 0.1);
  EXPECT_EQ(*estimate({0.1, 0.1, 0.1}).stderr_of_mean, 0.0);
  EXPECT_NEAR(*estimate({0, 1}).stderr_of_mean, 0.5, 1e-15);
  // A spread nine digits below the mean.
  EXPECT_NEAR(*estimate({0.8, 0.8 + 2e-9}).stderr_of_mean, 1e-9, 1e-15);
}

TEST(PassAtK, SmallCases) {
  const std::vector<int> correct = {0, 1, 2, 3, 4};
  const auto at2 = pass_at_k(correct, 4, 2);
  ASSERT_TRUE(at2.ok());
  EXPECT_EQ(at2->per_problem[0], 0.0);
  EXPECT_NEAR(at2->per_problem[1], 0.5, 1e-15);
  EXPECT_NEAR(at2->per_problem[2], 5.0 / 6, 1e-15);
  EXPECT_EQ(at2->per_problem[3], 1.0);
  EXPECT_NEAR(pass_at_k(correct, 4, 1)->mean, 0.5, 1e-15);
}

TEST(PassAtK, Errors) {
  const std::vector<int> correct = {1};
  EXPECT_FALSE(pass_at_k(correct, 4, 5).ok());
  EXPECT_FALSE(pass_at_k(correct, 4, 0).ok());
  EXPECT_FALSE(pass_at_k(correct, 0, 1).ok());
  EXPECT_FALSE(pass_at_k(correct, -3, 1).ok());
  EXPECT_FALSE(pass_at_k(std::vector<int>{5}, 4, 2).ok());
  EXPECT_FALSE(pass_at_k(std::vector<int>{-1}, 4, 2).ok());
  EXPECT_FALSE(pass_at_k({}, 4, 2).ok());
}

// All subsets one by one.
double enumerated(const Votes& v, size_t k) {
  double sum = 0, subsets = 0;
  for (uint32_t mask = 0; mask < (1u << v.keys.size()); ++mask) {
    if (static_cast<size_t>(std::popcount(mask)) != k) continue;
    ++subsets;
    std::map<std::string, int> counts;
    for (size_t i = 0; i < v.keys.size(); ++i) {
      if ((mask >> i & 1) != 0 && v.keys[i]) ++counts[*v.keys[i]];
    }
    int most = 0, tied = 0;
    for (const auto& [key, count] : counts) most = std::max(most, count);
    for (const auto& [key, count] : counts) tied += count == most;
    if (counts.contains(v.gold) && counts[v.gold] == most) sum += 1.0 / tied;
  }
  return sum / subsets;
}

TEST(ConsAtK, EqualsEnumeration) {
  for (uint64_t index = 0; index < 40; ++index) {
    Rng rng(1, 0, index);
    Votes v{"0", {}};
    for (int i = 0; i < 9; ++i) {
      const uint32_t key = rng.below(5);
      v.keys.push_back(key == 4 ? std::nullopt : std::optional(std::to_string(key)));
    }
    for (int k = 1; k <= 9; ++k) {
      const auto result = cons_at_k(std::span(&v, 1), k);
      ASSERT_TRUE(result.ok());
      EXPECT_NEAR(result->mean, enumerated(v, static_cast<size_t>(k)), 1e-13) << index << " " << k;
    }
  }
}

TEST(ConsAtK, TiesUnparseableAndOpaqueKeys) {
  const auto score = [](Votes v, int k) { return cons_at_k(std::span(&v, 1), k)->mean; };
  EXPECT_EQ(score(votes("7", {"7", "3"}), 2), 0.5);
  EXPECT_EQ(score(votes("7", {std::nullopt, std::nullopt, "7"}), 3), 1.0);
  EXPECT_EQ(score(votes("7", {std::nullopt, std::nullopt}), 2), 0.0);
  EXPECT_EQ(score(votes("7", {"07", "07", "7"}), 3), 0.0);
  EXPECT_EQ(score(votes("", {"", "7", ""}), 3), 1.0);
  EXPECT_EQ(score(votes("9", {"7", "3"}), 1), 0.0);
}

TEST(ConsAtK, LargeCountsStayFinite) {
  Votes v{"a", {}};
  for (int i = 0; i < 1200; ++i) v.keys.push_back(i % 2 == 0 ? "a" : "b");
  EXPECT_NEAR(cons_at_k(std::span(&v, 1), 300)->mean, 0.5, 1e-12);  // by symmetry
}

TEST(ConsAtK, Errors) {
  const std::vector<Votes> uneven = {votes("7", {"7"}), votes("7", {"7", "7"})};
  EXPECT_FALSE(cons_at_k(uneven, 1).ok());
  EXPECT_FALSE(cons_at_k(std::span(uneven).first(1), 2).ok());
  EXPECT_FALSE(cons_at_k(std::span(uneven).first(1), 0).ok());
  EXPECT_FALSE(cons_at_k({}, 1).ok());
}

TEST(PairedDifference, CancelsWhatIsShared) {
  const std::vector<double> a = {0.9, 0.2, 0.6}, b = {0.8, 0.1, 0.5};
  const auto result = paired_difference(a, b);
  ASSERT_TRUE(result.ok());
  EXPECT_NEAR(result->mean, 0.1, 1e-15);
  EXPECT_NEAR(*result->stderr_of_mean, 0.0, 1e-15);
  EXPECT_FALSE(paired_difference(a, std::span(b).first(2)).ok());
  EXPECT_FALSE(paired_difference({}, {}).ok());
}

TEST(LengthRewards, Repetition) {
  const std::vector<int32_t> ids = {1, 2, 1, 2, 1, 2};  // bigrams 12 21 12 21 12
  EXPECT_NEAR(repetition_reward(ids, 2, -1.0), -0.6, 1e-15);
  EXPECT_EQ(repetition_reward(ids, 7, -1.0), 0.0);
  const double none = repetition_reward(std::vector<int32_t>{1, 2, 3}, 2, -1.0);
  EXPECT_EQ(none, 0.0);
  EXPECT_FALSE(std::signbit(none));
}

TEST(LengthRewards, Overlong) {
  EXPECT_EQ(overlong_reward(80, 100, 20), 0.0);
  EXPECT_EQ(overlong_reward(90, 100, 20), -0.5);
  EXPECT_EQ(overlong_reward(100, 100, 20), -1.0);
  EXPECT_EQ(overlong_reward(1000, 100, 20), -1.0);
  EXPECT_EQ(overlong_reward(100, 100, 0), 0.0);
  EXPECT_EQ(overlong_reward(101, 100, 0), -1.0);
}

TEST(LengthRewards, Cosine) {
  const CosineRange right{0.5, 1.0}, wrong{-1.0, -0.5};
  EXPECT_EQ(cosine_length_reward(0, 100, true, right, wrong), 1.0);
  EXPECT_NEAR(cosine_length_reward(50, 100, true, right, wrong), 0.75, 1e-15);
  EXPECT_EQ(cosine_length_reward(200, 100, true, right, wrong), 0.5);
  EXPECT_EQ(cosine_length_reward(0, 100, false, right, wrong), -1.0);
  EXPECT_EQ(cosine_length_reward(100, 100, false, right, wrong), -0.5);
}

}  // namespace
}  // namespace ponder
