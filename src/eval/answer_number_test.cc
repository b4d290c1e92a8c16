#include "eval/answer_number.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <string>

#include "core/rng.h"

namespace ponder {
namespace {

BigInt from_wide(__int128 value) {
  const bool negative = value < 0;
  if (negative) value = -value;
  const auto high = static_cast<int64_t>(value >> 62);
  const auto low = static_cast<int64_t>(value & ((__int128{1} << 62) - 1));
  const BigInt result = BigInt(high).shifted_left(62) + BigInt(low);
  return negative ? -result : result;
}

BigInt random_big(Rng& rng, int words) {
  BigInt result;
  for (int i = 0; i < words; ++i)
    result = result.shifted_left(31) + BigInt(static_cast<int64_t>(rng.below(1u << 31)));
  return rng.below(2) == 0 ? result : -result;
}

TEST(BigInt, AgreesWithWideIntegers) {
  Rng rng(1, hash64("big"), 0);
  for (int i = 0; i < 2000; ++i) {
    const auto a = static_cast<int64_t>(rng.u64()) >> (2 + rng.below(58));
    const auto b = static_cast<int64_t>(rng.u64()) >> (2 + rng.below(58));
    const __int128 wide_a = a, wide_b = b;
    EXPECT_EQ(BigInt(a) + BigInt(b), from_wide(wide_a + wide_b));
    EXPECT_EQ(BigInt(a) - BigInt(b), from_wide(wide_a - wide_b));
    EXPECT_EQ(BigInt(a) * BigInt(b), from_wide(wide_a * wide_b));
    EXPECT_EQ(BigInt::compare(a, b) < 0, a < b);
    EXPECT_EQ(BigInt(a).text(), std::to_string(a));
    if (b == 0) continue;
    BigInt quotient, rest;
    BigInt::divide(from_wide(wide_a * wide_a), b, quotient, rest);
    EXPECT_EQ(quotient, from_wide(wide_a * wide_a / wide_b));
    EXPECT_EQ(rest, from_wide(wide_a * wide_a % wide_b));
  }
}

TEST(BigInt, DivisionAndCommonFactorsOfLargeNumbers) {
  Rng rng(2, hash64("big"), 0);
  for (int i = 0; i < 300; ++i) {
    const BigInt a = random_big(rng, rng.between(1, 60)), b = random_big(rng, rng.between(1, 40));
    if (b.is_zero()) continue;
    BigInt quotient, rest;
    BigInt::divide(a, b, quotient, rest);
    EXPECT_EQ(quotient * b + rest, a);
    EXPECT_LT(BigInt::compare(rest.abs(), b.abs()), 0);
    EXPECT_TRUE(rest.is_zero() || rest.is_negative() == a.is_negative());
    const BigInt g = BigInt::gcd(a * BigInt(30), b * BigInt(42));
    BigInt::divide(a * BigInt(30), g, quotient, rest);
    EXPECT_TRUE(rest.is_zero());
    BigInt::divide(g, BigInt(6), quotient, rest);
    EXPECT_TRUE(rest.is_zero());
    const auto again = BigInt::parse(a.abs().text());
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(*again, a.abs());
  }
}

// The quotient digit that is guessed one too high: the rare branch of the division.
TEST(BigInt, DivisionTakesBackAGuess) {
  const auto number = [](std::initializer_list<int64_t> words) {  // highest first
    BigInt result;
    for (int64_t word : words) result = result.shifted_left(32) + BigInt(word);
    return result;
  };
  const BigInt a = number({0x80000000, 0, 3}), b = number({0x20000000, 0, 1});
  BigInt quotient, rest;
  BigInt::divide(a, b, quotient, rest);
  EXPECT_EQ(quotient.text(), "3");
  EXPECT_EQ(quotient * b + rest, a);
  const BigInt c = number({0x7fffffff, 0x80000000, 0, 0}), d = number({0x80000000, 0, 1});
  BigInt::divide(c, d, quotient, rest);
  EXPECT_EQ(quotient.text(), "4294967294");
  EXPECT_EQ(quotient * d + rest, c);
  EXPECT_LT(BigInt::compare(rest, d), 0);
}

TEST(BigInt, Parse) {
  EXPECT_EQ(BigInt::parse("000123")->text(), "123");
  EXPECT_EQ(BigInt::parse("ff", 16)->text(), "255");
  EXPECT_FALSE(BigInt::parse(""));
  EXPECT_FALSE(BigInt::parse("12", 2));
  EXPECT_FALSE(BigInt::parse("1.5"));
  EXPECT_TRUE(BigInt::parse(std::string(BigInt::kMaxDigits, '9')));
  EXPECT_FALSE(BigInt::parse(std::string(BigInt::kMaxDigits + 1, '9')));
}

TEST(BigInt, PowersAndRoots) {
  Work work;
  EXPECT_EQ(power(BigInt(-3), 5, work)->text(), "-243");
  EXPECT_EQ(power(BigInt(7), 0, work)->text(), "1");
  EXPECT_EQ(power(BigInt(-1), int64_t{1} << 40, work)->text(), "1");
  EXPECT_FALSE(power(BigInt(2), 5000, work));
  const BigInt big = *power(BigInt(123456789), 9, work);
  EXPECT_EQ(*exact_root(big, 9, work), BigInt(123456789));
  EXPECT_EQ(*exact_root(big, 3, work), *power(BigInt(123456789), 3, work));
  EXPECT_FALSE(exact_root(big + BigInt(1), 9, work));
  EXPECT_FALSE(exact_root(BigInt(2), 2, work));
}

TEST(BigInt, TheBudgetEndsLongWork) {
  Work work{100};
  EXPECT_FALSE(power(BigInt(3), 2000, work));
  EXPECT_LT(work.left, 0);
}

TEST(BigRational, LowestTermsAndOrder) {
  Work work;
  EXPECT_EQ(BigRational::make(6, -4, work)->text(), "-3/2");
  EXPECT_FALSE(BigRational::make(1, 0, work));
  EXPECT_EQ(add(*BigRational::make(1, 2, work), *BigRational::make(1, 3, work), work)->text(),
            "5/6");
  EXPECT_EQ(divide(BigRational(1), BigRational(-4), work)->text(), "-1/4");
  EXPECT_FALSE(divide(BigRational(1), BigRational(0), work));
  EXPECT_EQ(power(*BigRational::make(-2, 3, work), -3, work)->text(), "-27/8");
  EXPECT_LT(compare(*BigRational::make(1, 3, work), *BigRational::make(1, 2, work)), 0);
  EXPECT_EQ(floor(*BigRational::make(-7, 2, work)).text(), "-4");
}

}  // namespace
}  // namespace ponder
