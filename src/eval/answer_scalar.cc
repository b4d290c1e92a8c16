#include "eval/answer_scalar.h"

#include <algorithm>
#include <cmath>

namespace ponder {
namespace {

// What the slower steps cost, in the unit of Work.
constexpr int64_t kSearchCost = 150;     // for a fraction near a ball
constexpr int64_t kTextCost = 1500;      // of a number with 18 digits
constexpr int64_t kFunctionCost = 1500;  // exp, log, sine and their kin

Ball re_ball(const Scalar& a) { return a.exact() ? ball(a.re) : a.ball_re; }
Ball im_ball(const Scalar& a) { return a.exact() ? ball(a.im) : a.ball_im; }

Scalar checked(const Ball& re, const Ball& im) {
  if (!std::isfinite(re.radius) || !std::isfinite(im.radius)) return {};
  return Scalar::of(re, im);
}

BigRational half() {
  BigRational h(1);
  h.den = 2;
  return h;
}

Scalar exact_or(const MaybeRational& re, const MaybeRational& im, const Scalar& otherwise) {
  if (!re || !im) return otherwise;
  Scalar s(*re);
  s.im = *im;
  return s;
}

}  // namespace

Scalar Scalar::of(const Ball& re, const Ball& im) {
  Scalar s;
  s.kind = Kind::kBall;
  s.ball_re = re;
  s.ball_im = im;
  return s;
}

Scalar Scalar::imaginary_unit() {
  Scalar s(BigRational(0));
  s.im = 1;
  return s;
}

bool Scalar::is_real() const {
  return kind == Kind::kExact ? im.is_zero() : kind == Kind::kBall && ball_im.holds_zero();
}

bool Scalar::is_zero() const {
  if (kind == Kind::kExact) return re.is_zero() && im.is_zero();
  return kind == Kind::kBall && ball_re.holds_zero() && ball_im.holds_zero();
}

Ball to_ball(const Scalar& a) { return re_ball(a); }

Scalar Arithmetic::add(const Scalar& a, const Scalar& b) const {
  if (!a.defined() || !b.defined()) return {};
  if (a.exact() && b.exact()) {
    const auto re = ponder::add(a.re, b.re, work), im = ponder::add(a.im, b.im, work);
    if (re && im) return exact_or(re, im, {});
  }
  return checked(re_ball(a) + re_ball(b), im_ball(a) + im_ball(b));
}

Scalar Arithmetic::negate(const Scalar& a) const {
  if (a.exact()) {
    Scalar s(ponder::negate(a.re));
    s.im = ponder::negate(a.im);
    return s;
  }
  return a.defined() ? Scalar::of(-a.ball_re, -a.ball_im) : Scalar();
}

Scalar Arithmetic::multiply(const Scalar& a, const Scalar& b) const {
  if (!a.defined() || !b.defined()) return {};
  if (a.is_rational() && b.is_rational()) {
    if (const auto product = ponder::multiply(a.re, b.re, work)) return *product;
  } else if (a.exact() && b.exact()) {
    const auto rr = ponder::multiply(a.re, b.re, work), ii = ponder::multiply(a.im, b.im, work);
    const auto ri = ponder::multiply(a.re, b.im, work), ir = ponder::multiply(a.im, b.re, work);
    if (rr && ii && ri && ir) {
      const auto re = subtract(*rr, *ii, work), im = ponder::add(*ri, *ir, work);
      if (re && im) return exact_or(re, im, {});
    }
  }
  const Ball ar = re_ball(a), ai = im_ball(a), br = re_ball(b), bi = im_ball(b);
  return checked(ar * br - ai * bi, ar * bi + ai * br);
}

Scalar Arithmetic::divide(const Scalar& a, const Scalar& b) const {
  if (!a.defined() || !b.defined() || b.is_zero()) return {};
  if (b.is_rational()) {
    if (const auto inverse = ponder::divide(1, b.re, work)) return multiply(a, *inverse);
  }
  if (b.is_real()) {
    const Ball d = re_ball(b);
    return checked(re_ball(a) / d, im_ball(a) / d);
  }
  Scalar conjugate = b;
  conjugate.im = ponder::negate(b.im);
  conjugate.ball_im = -b.ball_im;
  Scalar square = multiply(b, conjugate);
  square.im = 0;
  square.ball_im = {};
  return divide(multiply(a, conjugate), square);
}

Scalar Arithmetic::absolute(const Scalar& a) const {
  if (a.is_rational()) return a.re.sign() < 0 ? ponder::negate(a.re) : a.re;
  if (!a.defined()) return {};
  if (a.is_real()) return Scalar::of(a.ball_re.high < 0 ? -a.ball_re : a.ball_re);
  Scalar conjugate = a;
  conjugate.im = ponder::negate(a.im);
  conjugate.ball_im = -a.ball_im;
  Scalar square = multiply(a, conjugate);
  square.im = 0;
  square.ball_im = {};
  return Arithmetic{work}.power(square, half());
}

Scalar Arithmetic::factorial(const Scalar& a) const {
  const auto n = a.is_rational() ? a.re.to_int64() : std::nullopt;
  if (!n || *n < 0 || *n > 600) return {};
  BigInt product = 1;
  for (int64_t i = 2; i <= *n; ++i) {
    if (!work.spend(product.words() + 100)) return {};
    product = product * BigInt(i);
  }
  if (product.bits() > BigInt::kMaxBits) return {};
  return BigRational(product);
}

Scalar Arithmetic::integer_power(const Scalar& base, int64_t exponent) const {
  if (base.is_rational()) {
    if (const auto exact = ponder::power(base.re, exponent, work)) return *exact;
  }
  if (exponent < 0) return divide(BigRational(1), integer_power(base, -exponent));
  if (exponent > 4096) return {};
  Scalar result = BigRational(1), square = base;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = multiply(result, square);
    if (exponent > 1) square = multiply(square, square);
  }
  return result;
}

Scalar Arithmetic::rational_power(const BigRational& base, const BigRational& exponent) const {
  const auto k = exponent.den.to_int64(), p = exponent.num.to_int64();
  if (base.is_zero()) return exponent.sign() > 0 ? Scalar(BigRational(0)) : Scalar();
  if (base.sign() < 0) {
    const BigRational positive = ponder::negate(base);
    if (k && *k % 2 == 1) {  // the real root, as schools have it
      const Scalar root = rational_power(positive, exponent);
      return p && *p % 2 != 0 ? negate(root) : root;
    }
    if (real_only) return {};
    if (k && p && *k == 2) {  // i^p times a real root
      return multiply(rational_power(positive, exponent),
                      integer_power(Scalar::imaginary_unit(), ((*p % 4) + 4) % 4));
    }
    return exponential(multiply(exponent, logarithm(base)));
  }
  if (k && p && *k <= 64 && base.num.bits() <= 1024 && base.den.bits() <= 1024) {
    const auto num = exact_root(base.num, static_cast<int>(*k), work);
    const auto den = num ? exact_root(base.den, static_cast<int>(*k), work) : std::nullopt;
    if (num && den) {
      BigRational root(*num);
      root.den = *den;
      return integer_power(root, *p);
    }
  }
  if (k && p && *k == 2 && *p > -64 && *p < 64) {
    const Ball root = sqrt(ball(base));
    return integer_power(checked(root, {}), *p);
  }
  if (!work.spend(3 * kFunctionCost)) return {};
  return checked(exp(ball(exponent) * log(ball(base))), {});
}

Scalar Arithmetic::logarithm(const Scalar& a) const {
  if (!a.defined() || a.is_zero()) return {};
  const Ball re = re_ball(a), im = im_ball(a);
  if (!work.spend((a.is_real() ? 2 : 5) * kFunctionCost)) return {};
  if (a.is_real() && re.high > 0) return checked(log(re), {});
  if (real_only) return {};
  if (a.is_real()) return checked(log(-re), ball_pi());
  const Ball middle = ball(0.5);
  const Ball size = middle * log(re * re + im * im);
  if (re.holds_zero()) return checked(size, im.high > 0 ? ball_pi() * middle : -ball_pi() * middle);
  Ball angle = atan(im / re);
  if (re.high < 0) angle = im.high > 0 ? angle + ball_pi() : angle - ball_pi();
  return checked(size, angle);
}

Scalar Arithmetic::exponential(const Scalar& a) const {
  if (!a.defined()) return {};
  if (a.exact() && a.is_zero()) return BigRational(1);
  if (!work.spend((a.is_real() ? 1 : 3) * kFunctionCost)) return {};
  const Ball size = exp(re_ball(a));
  if (a.is_real()) return checked(size, {});
  const Ball angle = im_ball(a);
  return checked(size * cos(angle), size * sin(angle));
}

Scalar Arithmetic::power(const Scalar& base, const Scalar& given) const {
  const Scalar exponent = simplified(given, work);
  if (!base.defined() || !exponent.defined()) return {};
  if (exponent.is_rational()) {
    if (const auto n = exponent.re.to_int64()) {
      if (*n == 0) return base.is_zero() ? Scalar() : Scalar(BigRational(1));
      if (std::abs(*n) > (int64_t{1} << 40)) return {};
      return integer_power(base, *n);
    }
    const Scalar plain = simplified(base, work);
    if (plain.is_rational()) return rational_power(plain.re, exponent.re);
    const bool odd_root = exponent.re.den.is_odd();
    if (plain.is_real() && re_ball(plain).high < 0 && (odd_root || real_only)) {
      if (!odd_root) return {};
      const Scalar root = power(negate(plain), exponent);
      return exponent.re.num.is_odd() ? negate(root) : root;
    }
    if (exponent.re == half() && plain.is_real() && re_ball(plain).high > 0) {
      return checked(sqrt(re_ball(plain)), {});
    }
  }
  if (base.is_zero()) return exponent.is_real() && re_ball(exponent).high > 0 ? base : Scalar();
  return exponential(multiply(exponent, logarithm(base)));
}

// n (n-1) ... (n-k+1) / k! for a whole k; n may be any number.
Scalar Arithmetic::binomial(const Scalar& n, const Scalar& k) const {
  if (!n.defined() || !k.is_rational() || !k.re.is_integer() || k.re.num.bits() > 20) return {};
  Scalar below = k;
  if (n.is_rational() && n.re.is_integer() && n.re.sign() >= 0) {  // the shorter side
    const Scalar other = add(n, negate(k));
    if (other.re.sign() < 0) return BigRational(0);
    if (compare(other.re, k.re) < 0) below = other;
  }
  const int64_t factors = below.re.to_int64().value_or(-1);
  if (below.re.sign() < 0) return BigRational(0);
  if (factors > 600) return {};
  Scalar value = BigRational(1);
  for (int64_t i = 0; i < factors && value.defined(); ++i) {
    if (!work.spend(400)) return {};
    value = divide(multiply(value, add(n, BigRational(-i))), BigRational(i + 1));
  }
  return value;
}

namespace {

Scalar ratio(const Ball& a, const Ball& b) { return checked(a / b, {}); }

// Functions of one real number. `x` holds it.
Scalar real_function(std::string_view name, const Ball& x) {
  const Ball one = ball(1.0), middle = ball(0.5);
  if (name == "sin") return checked(sin(x), {});
  if (name == "cos") return checked(cos(x), {});
  if (name == "tan") return ratio(sin(x), cos(x));
  if (name == "cot") return ratio(cos(x), sin(x));
  if (name == "sec") return ratio(one, cos(x));
  if (name == "csc") return ratio(one, sin(x));
  if (name == "sinh") return checked(middle * (exp(x) - exp(-x)), {});
  if (name == "cosh") return checked(middle * (exp(x) + exp(-x)), {});
  if (name == "tanh") return ratio(exp(x) - exp(-x), exp(x) + exp(-x));
  if (name == "arctan") return checked(atan(x), {});
  if (name == "arccot") return checked(ball_pi() * middle - atan(x), {});
  if (name == "arcsin" || name == "arccos") {
    const Ball rest = one - x * x;
    Ball angle = ball_pi() * middle;  // of arcsin
    if (rest.holds_zero()) {
      if (x.high < 0) angle = -angle;
      angle.radius += std::sqrt(std::abs(rest.high) + rest.radius) * 1.01;
    } else {
      if (rest.high < 0) return {};
      angle = atan(x / sqrt(rest));
    }
    return checked(name == "arcsin" ? angle : ball_pi() * middle - angle, {});
  }
  return {};
}

}  // namespace

Scalar Arithmetic::call(std::string_view name, std::span<const Scalar> arguments) const {
  if (arguments.empty()) return {};
  const Scalar a = simplified(arguments[0], work);
  if (!a.defined() || !work.spend(kSearchCost)) return {};
  if (arguments.size() == 1) {
    if (name == "sqrt") return power(a, half());
    if (name == "abs") return absolute(a);
    if (name == "ln" || name == "log") {
      return a.is_rational() && a.re == BigRational(1) ? Scalar(BigRational(0)) : logarithm(a);
    }
    if (name == "lg") return divide(logarithm(a), logarithm(BigRational(10)));
    if (name == "exp") return exponential(a);
    if (name == "floor" && a.is_rational()) return BigRational(floor(a.re));
    if (name == "ceil" && a.is_rational()) return BigRational(-floor(ponder::negate(a.re)));
    if ((name == "floor" || name == "ceil") && a.is_real()) {
      const double value = re_ball(a).high;
      if (std::abs(value) > 1e15) return {};
      return BigRational(
          static_cast<int64_t>(name == "floor" ? std::floor(value) : std::ceil(value)));
    }
    if (!a.is_real() || !work.spend(2 * kFunctionCost)) return {};
    return real_function(name, re_ball(a));
  }
  if (arguments.size() > 64) return {};
  if (name == "log") {  // base, argument
    return arguments.size() == 2 ? divide(logarithm(arguments[1]), logarithm(a)) : Scalar();
  }
  if (name == "max" || name == "min") {
    Scalar best = a;
    for (const Scalar& x : arguments) {
      if (!x.is_real()) return {};
      const int order = compare_real(x, best);
      if (name == "max" ? order > 0 : order < 0) best = x;
    }
    return best;
  }
  const Scalar b = simplified(arguments[1], work);
  if (name == "binom" && arguments.size() == 2) return binomial(a, b);
  if (!a.is_rational() || !b.is_rational() || !a.re.is_integer() || !b.re.is_integer()) return {};
  if (a.re.num.bits() > 62 || b.re.num.bits() > 62) return {};
  if (name == "mod" && arguments.size() == 2 && !b.re.is_zero()) {
    const auto n = *a.re.to_int64(), m = std::abs(*b.re.to_int64());
    return BigRational(((n % m) + m) % m);
  }
  if (name == "gcd" || name == "lcm") {
    BigInt value = a.re.num.abs();
    for (const Scalar& x : arguments.subspan(1)) {
      if (!x.is_rational() || !x.re.is_integer() || x.re.num.bits() > 62) return {};
      const BigInt common = BigInt::gcd(value, x.re.num);
      if (name == "gcd") {
        value = common;
        continue;
      }
      if (common.is_zero() || value.bits() > 1024 || !work.spend(1000)) return {};
      BigInt quotient, rest;
      BigInt::divide(value * x.re.num.abs(), common, quotient, rest);
      value = quotient;
    }
    return BigRational(value);
  }
  return {};
}

Scalar simplified(const Scalar& a, Work& work) {
  if (a.kind != Scalar::Kind::kBall || !work.spend(kSearchCost)) return a;
  const auto re = nearby_fraction(a.ball_re, work), im = nearby_fraction(a.ball_im, work);
  if (re && im) return exact_or(re, im, a);
  return a;
}

namespace {

constexpr int kKeyDigits = 18;

// d.ddd with 18 digits and an exponent: "~1.41421356237309505e0".
std::string decimal_text(const Ball& a) {
  if (a.radius < 1e-20 && std::abs(a.high) <= a.radius * 4) return "0";
  if (!(a.radius <= std::abs(a.high) * 1e-20) || !(std::abs(a.high) < 1e250) ||
      std::abs(a.high) < 1e-250) {
    return {};
  }
  // digits = |a| * 10^shift, rounded; the product is as exact as the ball.
  Ball size = a.high < 0 ? -a : a;
  size.radius = 0;
  auto exponent = static_cast<int>(std::floor(std::log10(size.high)));
  for (int attempt = 0; attempt < 3; ++attempt) {
    const int shift = kKeyDigits - 1 - exponent;
    Ball scale = ball(1.0), square = ball(10.0);
    for (int n = std::abs(shift); n > 0; n >>= 1) {
      if ((n & 1) != 0) scale = scale * square;
      if (n > 1) square = square * square;
    }
    const Ball scaled = shift >= 0 ? size * scale : size / scale;
    if (!(scaled.high < 9e18)) {
      ++exponent;
      continue;
    }
    const double whole = std::floor(scaled.high);
    const double rest = (scaled.high - whole) + scaled.low;
    const std::string text =
        std::to_string(static_cast<int64_t>(whole) + static_cast<int64_t>(std::floor(rest + 0.5)));
    if (text.size() == kKeyDigits) {
      return std::string(a.high < 0 ? "-" : "") + "~" + text.substr(0, 1) + "." + text.substr(1) +
             "e" + std::to_string(exponent);
    }
    exponent += text.size() > kKeyDigits ? 1 : -1;
  }
  return {};
}

std::string part_text(const BigRational& exact, const Ball& approximate, bool is_exact,
                      Work& work) {
  if (is_exact) return exact.text();
  if (const auto fraction = nearby_fraction(approximate, work)) return fraction->text();
  return decimal_text(approximate);
}

}  // namespace

std::string scalar_text(const Scalar& a, Work& work) {
  if (!a.defined() || !work.spend(a.exact() ? 50 : kTextCost)) return {};
  if (a.exact() && (a.re.num.bits() > 1024 || a.im.num.bits() > 1024) && !work.spend(20'000))
    return {};
  const std::string re = part_text(a.re, a.ball_re, a.exact(), work);
  const std::string im = part_text(a.im, a.ball_im, a.exact(), work);
  if (re.empty() || im.empty()) return {};
  return im == "0" ? re : re + (im[0] == '-' ? "" : "+") + im + "*i";
}

int compare_real(const Scalar& a, const Scalar& b) {
  if (a.exact() && b.exact()) return compare(a.re, b.re);
  return compare(re_ball(a), re_ball(b));
}

}  // namespace ponder
