#include "eval/answer_ball.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ponder {
namespace {

// A bound on the relative rounding error of one operation on pairs; the true bounds are near 2^-104.
constexpr double kUnit = 0x1p-98;
constexpr double kUp = 1.0 + 0x1p-40;  // covers the roundings in the radius itself

Ball pair(double a, double b) {
  const double sum = a + b;
  const double part = sum - a;
  return {sum, (a - (sum - part)) + (b - part), 0};
}

// The centre's own rounding is added to `radius`.
Ball rounded(double high, double low, double radius) {
  Ball r = pair(high, low);
  r.radius = (radius + std::abs(r.high) * kUnit) * kUp + 0x1p-1000;
  if (!std::isfinite(r.high) || !std::isfinite(r.radius)) return unknown_ball();
  return r;
}

double magnitude(const Ball& a) { return std::abs(a.high); }

constexpr Ball kPi{3.141592653589793116e+00, 1.224646799147353207e-16, 3e-33};
constexpr Ball kE{2.718281828459045091e+00, 1.445646891729250158e-16, 3e-33};
constexpr Ball kLog2{6.931471805599452862e-01, 2.319046813846299558e-17, 6e-34};

}  // namespace

Ball unknown_ball() { return {0, 0, std::numeric_limits<double>::infinity()}; }
Ball ball(double value) { return {value, 0, 0}; }
Ball ball_pi() { return kPi; }
Ball ball_e() { return kE; }

bool Ball::known() const { return radius <= 1e-20 * std::max(1.0, std::abs(high)); }
bool Ball::holds_zero() const { return std::abs(high) <= radius * kUp; }

Ball ball(const BigRational& value) {
  const BigInt::Parts n = value.num.parts(), d = value.den.parts();
  const int exponent = n.exponent - d.exponent;
  if (exponent > 900 || exponent < -900) return unknown_ball();
  if (value.is_zero()) return ball(0.0);
  const Ball num = rounded(value.sign() * n.high, value.sign() * n.low, 0);
  const Ball quotient = num / rounded(d.high, d.low, 0);
  return {std::ldexp(quotient.high, exponent), std::ldexp(quotient.low, exponent),
          std::ldexp(quotient.radius, exponent)};
}

Ball operator-(const Ball& a) { return {-a.high, -a.low, a.radius}; }

Ball operator+(const Ball& a, const Ball& b) {
  const Ball high = pair(a.high, b.high), low = pair(a.low, b.low);
  const Ball sum = pair(high.high, high.low + low.high);
  // Without cancellation this is the error of the low parts; with it, it is still theirs.
  const double error = (magnitude(a) + magnitude(b)) * kUnit * 0x1p-6;
  return rounded(sum.high, sum.low + low.low, a.radius + b.radius + error);
}

Ball operator-(const Ball& a, const Ball& b) { return a + -b; }

Ball operator*(const Ball& a, const Ball& b) {
  const double product = a.high * b.high;
  const double error = std::fma(a.high, b.high, -product);
  const double radius = magnitude(a) * b.radius + magnitude(b) * a.radius + a.radius * b.radius;
  return rounded(product, error + (a.high * b.low + a.low * b.high), radius * (1 + 1e-10));
}

Ball operator/(const Ball& a, const Ball& b) {
  if (b.holds_zero() || !std::isfinite(a.radius)) return unknown_ball();
  const double first = a.high / b.high;
  const Ball divisor{b.high, b.low, 0};
  const Ball rest = Ball{a.high, a.low, 0} - divisor * ball(first);
  const double second = rest.high / b.high;
  const Ball rest2 = rest - divisor * ball(second);
  const Ball quotient = pair(first, second);
  const double smallest = magnitude(b) - b.radius;
  const double radius = (a.radius + std::abs(first) * b.radius) / smallest * (1 + 1e-10);
  return rounded(quotient.high, quotient.low + rest2.high / b.high, radius);
}

Ball sqrt(const Ball& a) {
  if (a.holds_zero()) {
    return {0, 0, std::sqrt(magnitude(a) + a.radius) * kUp};
  }
  if (a.high < 0) return unknown_ball();
  const double root = std::sqrt(a.high);
  const Ball square = ball(root) * ball(root);
  const Ball rest = Ball{a.high, a.low, 0} - square;
  const double step = rest.high / (2 * root);
  return rounded(root, step, a.radius / root * kUp + root * 1e-31);
}

Ball exp(const Ball& a) {
  if (!(std::abs(a.high) < 650) || !(a.radius < 1e-3)) return unknown_ball();
  const double turns = std::round(a.high / kLog2.high);
  constexpr int kHalvings = 8;
  Ball r = Ball{a.high, a.low, 0} - kLog2 * ball(turns);
  r = {std::ldexp(r.high, -kHalvings), std::ldexp(r.low, -kHalvings), 0};
  Ball sum = ball(1.0), term = ball(1.0);
  for (int n = 1; n <= 14; ++n) {
    term = term * r / ball(static_cast<double>(n));
    sum = sum + term;
  }
  for (int i = 0; i < kHalvings; ++i) sum = sum * sum;
  const auto scale = static_cast<int>(turns);
  const double high = std::ldexp(sum.high, scale);
  const double radius = std::ldexp(sum.radius, scale) + high * (2 * a.radius + 1e-29);
  return rounded(high, std::ldexp(sum.low, scale), radius);
}

Ball log(const Ball& a) {
  if (!std::isfinite(a.radius) || a.high <= 0 || a.holds_zero()) return unknown_ball();
  const Ball centre{a.high, a.low, 0};
  // Newton's iteration on exp: the error of libm's log is squared.
  Ball y = ball(std::log(a.high));
  if (std::abs(y.high) > 640) return unknown_ball();
  y = y + centre * exp(-y) - ball(1.0);
  const double radius =
      a.radius / (a.high - a.radius) * kUp + 1e-29 * std::max(1.0, std::abs(y.high));
  return rounded(y.high, y.low, radius);
}

namespace {

// Taylor series of sine (first = 1) or cosine (first = 0) for |x| < 0.8.
Ball taylor(const Ball& x, int first) {
  const Ball square = x * x;
  Ball term = first == 1 ? x : ball(1.0), sum = term;
  for (int n = first + 2; n < 30; n += 2) {
    term = -(term * square) / ball(static_cast<double>(n * (n - 1)));
    sum = sum + term;
  }
  sum.radius += 1e-30;
  return sum;
}

Ball sine(const Ball& a, int quarter) {
  if (!(std::abs(a.high) < 1e6) || !(a.radius < 1e-3)) return unknown_ball();
  const double turns = std::round(a.high / (kPi.high / 2));
  const Ball half{kPi.high / 2, kPi.low / 2, kPi.radius};
  const Ball r = Ball{a.high, a.low, 0} - half * ball(turns);
  quarter = static_cast<int>(((static_cast<int64_t>(turns) + quarter) % 4 + 4) % 4);
  Ball value = taylor(r, quarter % 2 == 0 ? 1 : 0);
  if (quarter >= 2) value = -value;
  value.radius += a.radius * kUp + std::abs(a.high) * 1e-30;
  return value;
}

}  // namespace

Ball sin(const Ball& a) { return sine(a, 0); }
Ball cos(const Ball& a) { return sine(a, 1); }

Ball atan(const Ball& a) {
  if (!std::isfinite(a.radius)) return unknown_ball();
  if (magnitude(a) > 1e15) return unknown_ball();
  // One Newton step: atan x = y + atan((x - tan y) / (1 + x tan y)), whose last term is tiny.
  const Ball y = ball(std::atan(a.high));
  const Ball tangent = sin(y) / cos(y), centre{a.high, a.low, 0};
  const Ball step = (centre - tangent) / (ball(1.0) + centre * tangent);
  const Ball sum = y + step;
  return rounded(sum.high, sum.low, a.radius * kUp + 1e-29);
}

int compare(const Ball& a, const Ball& b) {
  const Ball difference = a - b;
  return difference.holds_zero() ? 0 : difference.high < 0 ? -1 : 1;
}

MaybeRational nearby_fraction(const Ball& a, Work& work) {
  // Fractions with denominators up to 10^6 are at least 10^-12 apart, so a ball this small holds one
  // by chance about once in 10^8.
  if (!(a.radius < 1e-20) || magnitude(a) > 1e9) return std::nullopt;
  constexpr double kLargest = 1e6;
  const double whole = std::floor(a.high);
  const Ball centre{a.high, a.low, 0};
  const double part = (centre - ball(whole)).high;  // to 53 bits of its own, plenty for q < 10^6
  double p0 = 1, q0 = 0, p1 = 0, q1 = 1, x = part;  // convergents of the continued fraction
  for (int step = 0; step < 40 && q1 <= kLargest; ++step) {
    if (std::abs(part - p1 / q1) < 1e-14) {
      const double num = whole * q1 + p1;  // below 10^15: exact
      const Ball distance = centre * ball(q1) - ball(num);
      if (magnitude(distance) > (a.radius + magnitude(a) * 1e-28) * q1) return std::nullopt;
      return BigRational::make(BigInt(static_cast<int64_t>(num)), BigInt(static_cast<int64_t>(q1)),
                               work);
    }
    const double rest = x - std::floor(x);
    if (!(rest > 1e-15)) return std::nullopt;
    x = 1 / rest;
    const double term = std::floor(x);
    const double p2 = term * p1 + p0, q2 = term * q1 + q0;
    p0 = p1, q0 = q1, p1 = p2, q1 = q2;
  }
  return std::nullopt;
}

}  // namespace ponder
