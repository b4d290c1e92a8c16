#include "eval/answer_scalar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace ponder {
namespace {

class Scalars : public ::testing::Test {
 protected:
  Scalar fraction(int64_t num, int64_t den) { return *BigRational::make(num, den, work_); }
  Scalar call(std::string_view name, const Scalar& x) { return real_.call(name, std::span(&x, 1)); }
  std::string text(const Scalar& a) { return scalar_text(a, work_); }

  Work work_{100'000'000};
  Arithmetic real_{work_, true};
  Arithmetic complex_{work_, false};
};

// 18 digits of each, from tables.
TEST_F(Scalars, KnownValues) {
  const Scalar pi = Scalar::of(ball_pi());
  EXPECT_EQ(text(pi), "~3.14159265358979324e0");
  EXPECT_EQ(text(call("exp", BigRational(1))), "~2.71828182845904524e0");
  EXPECT_EQ(text(call("exp", BigRational(-50))), "~1.92874984796391778e-22");
  EXPECT_EQ(text(call("ln", BigRational(2))), "~6.93147180559945309e-1");
  EXPECT_EQ(text(call("ln", fraction(1, 1000))), "-~6.90775527898213705e0");
  EXPECT_EQ(text(call("sqrt", BigRational(2))), "~1.41421356237309505e0");
  EXPECT_EQ(text(call("sin", BigRational(1))), "~8.41470984807896507e-1");
  EXPECT_EQ(text(call("cos", BigRational(100))), "~8.62318872287683934e-1");
  EXPECT_EQ(text(call("arctan", fraction(1, 5))), "~1.97395559849880758e-1");
  EXPECT_EQ(text(real_.power(BigRational(2), fraction(1, 3))), "~1.25992104989487316e0");
}

TEST_F(Scalars, BallsHoldTheTruth) {
  for (int k = 1; k < 60; ++k) {
    const Scalar x = fraction(k * 7 - 200, 13);
    const Ball s = to_ball(call("sin", x)), c = to_ball(call("cos", x));
    const Ball one = s * s + c * c - ball(1.0);
    EXPECT_TRUE(one.holds_zero()) << k;
    EXPECT_LT(one.radius, 1e-25) << k;
    const Ball back = log(exp(to_ball(x))) - to_ball(x);
    EXPECT_TRUE(back.holds_zero()) << k;
    EXPECT_LT(back.radius, 1e-24) << k;
    const Ball root = sqrt(ball(static_cast<double>(k)));
    EXPECT_TRUE((root * root - ball(static_cast<double>(k))).holds_zero()) << k;
    EXPECT_TRUE((atan(sin(to_ball(x)) / cos(to_ball(x))) - atan(s / c)).holds_zero()) << k;
  }
}

TEST_F(Scalars, FractionsAreFoundInBalls) {
  const Scalar third = real_.divide(BigRational(1), call("sqrt", BigRational(9)));
  EXPECT_EQ(text(third), "1/3");
  const Scalar root = call("sqrt", BigRational(2));
  EXPECT_EQ(text(real_.multiply(root, root)), "2");
  EXPECT_EQ(text(real_.add(root, real_.negate(root))), "0");
  const Scalar nearly = real_.add(Scalar::of(to_ball(fraction(1, 3))), Scalar::of(ball(1e-18)));
  EXPECT_NE(text(nearly), "1/3");
}

TEST_F(Scalars, Powers) {
  EXPECT_EQ(text(real_.power(BigRational(-8), fraction(1, 3))), "-2");
  EXPECT_EQ(text(real_.power(BigRational(-8), fraction(2, 3))), "4");
  EXPECT_FALSE(real_.power(BigRational(-1), fraction(1, 2)).defined());
  EXPECT_EQ(text(complex_.power(BigRational(-4), fraction(1, 2))), "0+2*i");
  EXPECT_EQ(text(complex_.power(Scalar::imaginary_unit(), BigRational(2))), "-1");
  EXPECT_EQ(text(real_.power(fraction(4, 9), fraction(-3, 2))), "27/8");
  EXPECT_FALSE(real_.power(BigRational(0), BigRational(-1)).defined());
  EXPECT_FALSE(real_.power(BigRational(0), BigRational(0)).defined());
  EXPECT_FALSE(
      real_.power(BigRational(9), BigRational(*BigInt::parse("99999999999999"))).defined());
}

TEST_F(Scalars, WhatHasNoValue) {
  EXPECT_FALSE(real_.divide(BigRational(1), BigRational(0)).defined());
  EXPECT_FALSE(call("ln", BigRational(0)).defined());
  EXPECT_FALSE(call("nonsense", BigRational(1)).defined());
  EXPECT_FALSE(call("exp", BigRational(100000)).defined());
  EXPECT_FALSE(real_.factorial(BigRational(1000)).defined());
  EXPECT_FALSE(real_.factorial(fraction(1, 2)).defined());
  EXPECT_EQ(text(real_.factorial(BigRational(20))), "2432902008176640000");
}

}  // namespace
}  // namespace ponder
