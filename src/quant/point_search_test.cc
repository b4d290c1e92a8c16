#include "quant/point_search.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <random>
#include <set>

namespace ponder {
namespace {

TEST(IqGrids, PointsDifferAndValuesAreTheirLevels) {
  const auto check = [](const CodeBook& book, const auto& values, size_t components) {
    ASSERT_EQ(book.points.size(), values.size());
    const std::set<uint16_t> distinct(book.points.begin(), book.points.end());
    EXPECT_EQ(distinct.size(), values.size());
    for (size_t p = 0; p < values.size(); ++p) {
      for (size_t i = 0; i < components; ++i) {
        ASSERT_LT(book.level(p, i), book.levels.size()) << p;
        EXPECT_EQ(values[p][i], book.levels[book.level(p, i)]) << p;
      }
    }
  };
  check(kIq2XxsBook, kIq2XxsValues, 8);
  check(kIq2XsBook, kIq2XsValues, 8);
  check(kIq2SBook, kIq2SValues, 8);
  check(kIq3XxsBook, kIq3XxsValues, 4);
  check(kIq3SBook, kIq3SValues, 4);
  check(kIq1Book, kIq1Values, 8);
}

TEST(IqGrids, EvenSignsAreEven) {
  for (uint32_t bits = 0; bits < 128; ++bits) {
    EXPECT_EQ(even_signs(bits) & 127u, bits);
    EXPECT_EQ(std::popcount(even_signs(bits)) % 2, 0) << bits;
  }
}

template <size_t kComponents, size_t kLevels>
class SearchChecker {
 public:
  explicit SearchChecker(const CodeBook& book) : book_(book), search_(book) {}

  // Small integers, so that sums are exact in any order, and ties are many.
  void check(std::mt19937& random) {
    LevelCosts<kComponents, kLevels> costs;
    for (auto& component : costs) {
      for (float& cost : component) cost = static_cast<float>(random() % 50);
    }
    float least = std::numeric_limits<float>::infinity();
    for (size_t p = 0; p < book_.points.size(); ++p) least = std::min(least, total(costs, p));
    const auto start = static_cast<uint16_t>(random() % book_.points.size());
    const auto found = search_.cheapest(costs, start);
    EXPECT_EQ(found.cost, least);
    EXPECT_EQ(total(costs, found.point), least);
  }

  void check_not_numbers() {
    LevelCosts<kComponents, kLevels> costs;
    for (auto& component : costs) component.fill(std::numeric_limits<float>::quiet_NaN());
    EXPECT_EQ(search_.cheapest(costs, 17).point, 17);
  }

 private:
  float total(const LevelCosts<kComponents, kLevels>& costs, size_t point) const {
    float sum = 0.0f;
    for (size_t i = 0; i < kComponents; ++i) sum += costs[i][book_.level(point, i)];
    return sum;
  }

  CodeBook book_;
  PointSearch<kComponents, kLevels> search_;
};

TEST(PointSearch, FindsWhatATryOfAllPointsFinds) {
  std::mt19937 random(5);
  SearchChecker<8, 3> iq1(kIq1Book), iq2(kIq2XxsBook);
  SearchChecker<4, 8> iq3(kIq3SBook);
  for (int round = 0; round < 300; ++round) {
    iq1.check(random);
    iq2.check(random);
    iq3.check(random);
  }
  iq1.check_not_numbers();
  iq3.check_not_numbers();
}

}  // namespace
}  // namespace ponder
