#include "engine/fair_share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/rng.h"

namespace ponder {
namespace {

std::vector<int64_t> shares(int64_t capacity, std::vector<Claim> claims) {
  share_fairly(capacity, claims);
  std::vector<int64_t> out;
  for (const Claim& c : claims) out.push_back(c.share);
  return out;
}

using Shares = std::vector<int64_t>;

TEST(FairShare, ByWeightAndNeverMoreThanWanted) {
  EXPECT_EQ(shares(10, {}), Shares{});
  EXPECT_EQ(shares(10, {{1, 4}}), Shares{4});
  EXPECT_EQ(shares(10, {{1, 100}, {1, 100}}), (Shares{5, 5}));
  EXPECT_EQ(shares(12, {{1, 100}, {2, 100}}), (Shares{4, 8}));
  EXPECT_EQ(shares(12, {{1, 100}, {2, 3}}), (Shares{9, 3}));
  EXPECT_EQ(shares(7, {{1, 100}, {1, 100}}), (Shares{4, 3}));
  EXPECT_EQ(shares(2, {{1, 9}, {1, 9}, {1, 9}}), (Shares{1, 1, 0}));
  EXPECT_EQ(shares(0, {{1, 9}}), Shares{0});
}

TEST(FairShare, NothingIsLeftOverAndNobodyIsPutBehind) {
  Rng rng(1, hash64("fair share"), 0);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Claim> claims(1 + rng.below(6));
    int64_t wanted = 0;
    for (Claim& c : claims) {
      c = {0.25 + rng.uniform() * 4, rng.between(0, 50)};
      wanted += c.wanted;
    }
    const int64_t capacity = rng.between(0, 150);
    share_fairly(capacity, claims);
    int64_t given = 0;
    for (const Claim& c : claims) {
      ASSERT_GE(c.share, 0);
      ASSERT_LE(c.share, c.wanted);
      given += c.share;
    }
    ASSERT_EQ(given, std::min(capacity, wanted));
    // Who got less than wanted is not behind any other by more than what cannot be cut.
    for (const Claim& a : claims) {
      for (const Claim& b : claims) {
        if (a.share == a.wanted) continue;
        const double mine = static_cast<double>(a.share + 1) / a.weight;
        const double other = static_cast<double>(b.share - 1) / b.weight;
        ASSERT_GE(mine + 2 / std::min(a.weight, b.weight), other);
      }
    }
  }
}

}  // namespace
}  // namespace ponder
