#include "core/math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace ponder {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Distance from the exact value (to 64 bits) in units of the last place of that value's double.
double ulps(double value, long double exact) {
  const double rounded = std::fabs(static_cast<double>(exact));
  const double ulp = std::nextafter(rounded, kInfinity) - rounded;
  return static_cast<double>(std::fabs(static_cast<long double>(value) - exact) /
                             static_cast<long double>(ulp));
}

// A fixed sequence of 64-bit values (SplitMix64).
struct Sequence {
  uint64_t state = 1;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(next() >> 11) * 0x1p-53;
  }
};

TEST(ExpF64, ErrorIsBelowOneUlp) {
  Sequence sequence;
  double worst = 0;
  for (int i = 0; i < 400000; ++i) {
    const double range[] = {745.0, 30.0, 1.0, 1e-3};
    const double x = sequence.uniform(-range[i % 4], std::min(range[i % 4], 709.5));
    worst = std::max(worst, ulps(exp_f64(x), std::exp(static_cast<long double>(x))));
  }
  EXPECT_LT(worst, 1.0);
  EXPECT_GT(worst, 0.5);  // half a unit is what rounding alone costs: the measure works
}

TEST(ExpF64, IsMonotonousAroundZero) {
  double before = exp_f64(-1e-14);
  for (double x = -1e-14; x < 1e-14; x += 1e-17) {
    const double y = exp_f64(x);
    ASSERT_GE(y, before) << x;
    before = y;
  }
}

TEST(ExpF64, EdgesOfTheRange) {
  EXPECT_EQ(exp_f64(0.0), 1.0);
  EXPECT_EQ(exp_f64(-0.0), 1.0);
  EXPECT_EQ(exp_f64(-kInfinity), 0.0);
  EXPECT_EQ(exp_f64(-1e300), 0.0);
  EXPECT_EQ(exp_f64(-745.2), 0.0);
  EXPECT_EQ(exp_f64(-745.1), 0x1p-1074);
  EXPECT_EQ(exp_f64(709.8), kInfinity);
  EXPECT_TRUE(std::isfinite(exp_f64(709.78)));
  EXPECT_EQ(exp_f64(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(exp_f64(kNan)));
}

// The bits that every machine must give.
TEST(ExpF64, FixedBits) {
  EXPECT_EQ(exp_f64(-0.1), 0x1.cf46d99d52b3ap-1);
  EXPECT_EQ(exp_f64(-20.25), 0x1.b93de1e27ca3bp-30);
}

TEST(ExpF64, ArrayEqualsScalar) {
  Sequence sequence;
  std::vector<double> values(1003);
  for (double& x : values) x = sequence.uniform(-100.0, 5.0);
  std::vector<double> expected;
  for (double x : values) expected.push_back(exp_f64(x - 2.5));
  exp_shifted_f64(values, 2.5);
  EXPECT_EQ(values, expected);
}

TEST(LogF64, ErrorIsBelowOneUlp) {
  Sequence sequence;
  double worst = 0;
  for (int i = 0; i < 400000; ++i) {
    double x = sequence.uniform(0.5, 2.0);
    if (i % 4 == 1) x = 1.0 + sequence.uniform(-1e-3, 1e-3);
    if (i % 4 == 2) x = sequence.uniform(0.0, 1e6);
    if (i % 4 == 3) x = std::bit_cast<double>(sequence.next() % 0x7ff0000000000000);
    if (x == 1.0 || x == 0.0) continue;
    worst = std::max(worst, ulps(log_f64(x), std::log(static_cast<long double>(x))));
  }
  EXPECT_LT(worst, 1.0);
  EXPECT_GT(worst, 0.5);
}

TEST(LogF64, EdgesOfTheRange) {
  EXPECT_EQ(log_f64(1.0), 0.0);
  EXPECT_EQ(log_f64(0.0), -kInfinity);
  EXPECT_EQ(log_f64(-0.0), -kInfinity);
  EXPECT_EQ(log_f64(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(log_f64(-1.0)));
  EXPECT_TRUE(std::isnan(log_f64(kNan)));
  EXPECT_NEAR(log_f64(0x1p-1074), -744.4400719213812, 1e-12);
}

TEST(LogF64, FixedBits) {
  EXPECT_EQ(log_f64(3.0), 0x1.193ea7aad030ap+0);  // the nearest double is one higher
  EXPECT_EQ(log_f64(150000.0), 0x1.7d6374a08a71dp+3);
}

}  // namespace
}  // namespace ponder
