#include "core/math.h"

#include <bit>
#include <cstdint>
#include <limits>

namespace ponder {
namespace {

// ln 2 as a sum: kLn2High has its last 21 bits zero, so that n * kLn2High is exact for every |n| <
// 2^21.
constexpr double kLn2High = 0x1.62e42fee00000p-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kInverseLn2 = 0x1.71547652b82fep+0;
// Adding 1.5 * 2^52 rounds to an integer, which then stands in the low bits of the sum.
constexpr double kRound = 0x1.8p52;

// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series up to r^13 / 13! (the rest is below
// 2^-57); times 2^n in two halves, so that results below the normal range are rounded once. No
// branches: the loop over an array stays a plain loop.
inline double exp_one(double x) {
  x = x < -746.0 ? -746.0 : x;  // both give 0
  x = x > 710.0 ? 710.0 : x;    // both give infinity
  const double rounded = x * kInverseLn2 + kRound;
  const double n = rounded - kRound;
  const double high = x - n * kLn2High;  // exact
  const double low = n * kLn2Low;
  const double r = high - low;
  double q = 1.0 / 6227020800.0;  // 1 / 13!
  q = q * r + 1.0 / 479001600.0;
  q = q * r + 1.0 / 39916800.0;
  q = q * r + 1.0 / 3628800.0;
  q = q * r + 1.0 / 362880.0;
  q = q * r + 1.0 / 40320.0;
  q = q * r + 1.0 / 5040.0;
  q = q * r + 1.0 / 720.0;
  q = q * r + 1.0 / 120.0;
  q = q * r + 1.0 / 24.0;
  q = q * r + 1.0 / 6.0;
  q = q * r + 0.5;
  // high stays apart from its small correction until the end: only the last two additions round at
  // the size of the result.
  const double y = 1.0 + (high + (r * r * q - low));
  // n + 2048 is in [971, 3073]; 2^n = 2^(half - 1024) * 2^(n + 1024 - half).
  const uint64_t biased = std::bit_cast<uint64_t>(rounded) - std::bit_cast<uint64_t>(kRound) + 2048;
  const uint64_t half = biased >> 1;
  const double scale1 = std::bit_cast<double>((half - 1) << 52);
  const double scale2 = std::bit_cast<double>((biased - half - 1) << 52);
  return y * scale1 * scale2;
}

}  // namespace

double exp_f64(double x) { return exp_one(x); }

void exp_shifted_f64(std::span<double> values, double shift) {
  for (double& x : values) x = exp_one(x - shift);
}

// x = 2^k m with m in [sqrt(1/2), sqrt(2)), f = m - 1, s = f / (2 + f). Then ln m = 2 atanh(s) = 2s
// + s R with R = 2 (s^2/3 + s^4/5 + ...), and since 2s = f - s f it is also f - (f^2/2 - s (f^2/2 +
// R)), whose large term f is exact.
double log_f64(double x) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!(x > 0.0)) return x == 0.0 ? -kInfinity : std::numeric_limits<double>::quiet_NaN();
  if (x == kInfinity) return x;
  int64_t k = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    k = -54;
  }
  // Subtracting the bits of sqrt(1/2) makes the exponent field change at sqrt(1/2) 2^k instead of
  // at 2^k.
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  const uint64_t offset = std::bit_cast<uint64_t>(x) - kSqrtHalf;
  const int64_t exponent = static_cast<int64_t>(offset) >> 52;
  k += exponent;
  const double m =
      std::bit_cast<double>(std::bit_cast<uint64_t>(x) - (static_cast<uint64_t>(exponent) << 52));
  const double f = m - 1.0;  // exact
  const double s = f / (2.0 + f);
  const double z = s * s;  // at most 0.0295: the first term left out, z^12 / 25, is below 2^-65
  double r = 2.0 / 23.0;
  r = r * z + 2.0 / 21.0;
  r = r * z + 2.0 / 19.0;
  r = r * z + 2.0 / 17.0;
  r = r * z + 2.0 / 15.0;
  r = r * z + 2.0 / 13.0;
  r = r * z + 2.0 / 11.0;
  r = r * z + 2.0 / 9.0;
  r = r * z + 2.0 / 7.0;
  r = r * z + 2.0 / 5.0;
  r = r * z + 2.0 / 3.0;
  r = r * z;
  const double half_square = 0.5 * f * f;
  const double n = static_cast<double>(k);
  return n * kLn2High - ((half_square - (s * (half_square + r) + n * kLn2Low)) - f);
}

}  // namespace ponder
