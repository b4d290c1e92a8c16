#include "core/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

namespace ponder {
namespace {

// The published Random123 known answers.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  EXPECT_EQ(philox4x64({0, 0, 0, 0}, {0, 0}),
            (std::array<uint64_t, 4>{0x16554d9eca36314c, 0xdb20fe9d672d0fdc, 0xd7e772cee186176b,
                                     0x7e68b68aec7ba23b}));
}

TEST(Philox, IncrementCarriesAndWraps) {
  std::array<uint32_t, 4> c32{UINT32_MAX, UINT32_MAX, 7, 0};
  philox_increment(c32);
  EXPECT_EQ(c32, (std::array<uint32_t, 4>{0, 0, 8, 0}));
  std::array<uint64_t, 4> c64{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
  philox_increment(c64);
  EXPECT_EQ(c64, (std::array<uint64_t, 4>{0, 0, 0, 0}));
}

TEST(Uniform, EndsOfTheRange) {
  EXPECT_EQ(uniform_f32(0), 0.0f);
  EXPECT_EQ(uniform_f32(UINT32_MAX), 1.0f - 0x1p-24f);
  EXPECT_EQ(uniform_f64(0), 0.0);
  EXPECT_EQ(uniform_f64(UINT64_MAX), 1.0 - 0x1p-53);
  EXPECT_EQ(normal_pair(0, 12345)[0], 0.0);
  EXPECT_TRUE(std::isfinite(normal_pair(UINT64_MAX, 0)[0]));
}

// These pin the splits of the procedural tasks and the names of streams.
TEST(Hash64, NeverChanges) {
  EXPECT_EQ(hash64(""), 0xefd01f60ba992926u);
  EXPECT_EQ(hash64("37+8*3-5*7=?"), 0x657525c5ad04ebfau);
}

TEST(Rng, SameKeySameSequenceOtherKeyOther) {
  Rng a(1, 2, 3), b(1, 2, 3);
  std::vector<uint64_t> first;
  for (int i = 0; i < 9; ++i) {
    first.push_back(a.u64());
    EXPECT_EQ(first.back(), b.u64());
  }
  EXPECT_NE(first[0], Rng(2, 2, 3).u64());
  EXPECT_NE(first[0], Rng(1, 3, 3).u64());
  EXPECT_NE(first[0], Rng(1, 2, 4).u64());
  EXPECT_NE(first[0], first[4]);  // the second block is another one
}

TEST(Rng, BelowIsEvenAndInRange) {
  Rng rng(5, 0, 0);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70000; ++i) ++counts[rng.below(7)];
  for (int count : counts) EXPECT_NEAR(count, 10000, 400);  // 4 standard deviations
  EXPECT_EQ(rng.below(1), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_LT(rng.below(UINT32_MAX), UINT32_MAX);
}

TEST(Rng, BetweenReachesBothEnds) {
  Rng rng(5, 0, 1);
  std::set<int> seen;
  for (int i = 0; i < 200; ++i) seen.insert(rng.between(-2, 2));
  EXPECT_EQ(seen, (std::set<int>{-2, -1, 0, 1, 2}));
}

TEST(Rng, NormalHasMeanZeroVarianceOne) {
  Rng rng(6, 0, 0);
  double sum = 0, squares = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const double z = rng.normal();
    sum += z;
    squares += z * z;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.013);
  EXPECT_NEAR(squares / kCount, 1.0, 0.018);
}

TEST(Rng, ShuffleIsAPermutationAndEven) {
  std::array<std::array<int, 4>, 4> where{};  // where[item][place]
  for (uint64_t index = 0; index < 8000; ++index) {
    std::array<int, 4> items{0, 1, 2, 3};
    Rng(7, 0, index).shuffle(std::span<int>(items));
    for (size_t place = 0; place < 4; ++place) ++where[static_cast<size_t>(items[place])][place];
    std::sort(items.begin(), items.end());
    ASSERT_EQ(items, (std::array<int, 4>{0, 1, 2, 3}));
  }
  for (const auto& row : where) {
    for (int count : row) EXPECT_NEAR(count, 2000, 160);
  }
}

TEST(UniformAt, AnyTokenByItself) {
  const double u = uniform_at(1, 2, 1000);
  EXPECT_EQ(u, uniform_at(1, 2, 1000));
  EXPECT_NE(u, uniform_at(1, 2, 1001));
  EXPECT_NE(u, uniform_at(1, 3, 1000));
  EXPECT_NE(u, uniform_at(2, 2, 1000));
  EXPECT_NE(uniform_at(1, 2, 0), Rng(1, 2, 0).uniform());
  double sum = 0;
  for (uint64_t position = 0; position < 10000; ++position) sum += uniform_at(9, 9, position);
  EXPECT_NEAR(sum / 10000, 0.5, 0.012);
}

}  // namespace
}  // namespace ponder
