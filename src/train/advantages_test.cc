#include "train/advantages.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ponder {
namespace {

constexpr AdvantageKind kAll[] = {AdvantageKind::kGroup, AdvantageKind::kGroupPopulation,
                                  AdvantageKind::kNone,  AdvantageKind::kBatch,
                                  AdvantageKind::kRloo,  AdvantageKind::kGdpo};

std::vector<double> values(AdvantageKind kind, double epsilon, int64_t group,
                           const std::vector<double>& rewards) {
  return compute_advantages(kind, epsilon, group, std::vector<double>{1.0}, rewards).values;
}

TEST(Advantages, ByHand) {
  const std::vector<double> rewards{0, 2, 1, 1};  // groups of two: (0, 2), (1, 1)
  EXPECT_EQ(values(AdvantageKind::kNone, 0, 2, rewards), (std::vector<double>{-1, 1, 0, 0}));
  EXPECT_EQ(values(AdvantageKind::kRloo, 0, 2, rewards), (std::vector<double>{-2, 2, 0, 0}));
  EXPECT_EQ(values(AdvantageKind::kGroupPopulation, 1, 2, rewards),
            (std::vector<double>{-0.5, 0.5, 0, 0}));
  EXPECT_NEAR(values(AdvantageKind::kGroup, 0, 2, rewards)[1], std::sqrt(0.5), 1e-15);
  EXPECT_NEAR(values(AdvantageKind::kBatch, 0, 2, rewards)[1], std::sqrt(1.5), 1e-15);
}

TEST(Advantages, WeightsAndZeroStd) {
  // Answer rewards (1, 0) and (0, 2) with weights (2, 1): both sum to 2.
  const Advantages got =
      compute_advantages(AdvantageKind::kGroup, 1e-4, 2, std::vector<double>{2, 1},
                         std::vector<double>{1, 0, 0, 2, 0, 0, 0, 1});
  EXPECT_EQ(got.rewards, (std::vector<double>{2, 2, 0, 1}));
  EXPECT_EQ(got.zero_std, (std::vector<uint8_t>{1, 0}));
  EXPECT_EQ(got.frac_zero_std(), 0.5);
  EXPECT_EQ(got.values[0], 0.0);
  EXPECT_EQ(got.values[1], 0.0);
}

// The mean of seven times 0.1 is not 0.1; with a small epsilon the difference would be a signal.
TEST(Advantages, EqualRewardsGiveExactlyZero) {
  const std::vector<double> rewards(7, 0.1);
  for (AdvantageKind kind : kAll) {
    EXPECT_EQ(values(kind, 1e-300, 7, rewards), std::vector<double>(7, 0.0));
  }
}

TEST(Advantages, GroupsOfOne) {
  for (AdvantageKind kind : kAll) {
    EXPECT_EQ(values(kind, 1e-6, 1, {3, 5}), std::vector<double>(2, 0.0));
  }
}

TEST(Advantages, Empty) {
  const Advantages got =
      compute_advantages(AdvantageKind::kGdpo, 1e-4, 4, std::vector<double>{1}, {});
  EXPECT_TRUE(got.values.empty());
  EXPECT_EQ(got.frac_zero_std(), 0.0);
}

TEST(Advantages, Names) {
  EXPECT_EQ(advantage_kind_from("gdpo"), AdvantageKind::kGdpo);
  EXPECT_EQ(advantage_kind_from("group_population"), AdvantageKind::kGroupPopulation);
  EXPECT_EQ(advantage_kind_from("gae"), std::nullopt);
}

}  // namespace
}  // namespace ponder
