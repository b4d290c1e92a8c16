#include "eval/answer_number.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

namespace ponder {
namespace {

constexpr int kWordBits = 32;

uint32_t low_word(uint64_t x) { return static_cast<uint32_t>(x); }

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

}  // namespace

BigInt::BigInt(int64_t value) : negative_(value < 0) {
  uint64_t magnitude = static_cast<uint64_t>(value);
  if (value < 0) magnitude = 0 - magnitude;
  for (; magnitude != 0; magnitude >>= kWordBits) limbs_.push_back(low_word(magnitude));
}

void BigInt::trim() {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
  if (limbs_.empty()) negative_ = false;
}

std::optional<BigInt> BigInt::parse(std::string_view digits, int base) {
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  if (digits.empty() || digits.size() > kMaxDigits) return std::nullopt;
  BigInt result;
  for (char c : digits) {
    const int digit = digit_of(c);
    if (digit >= base) return std::nullopt;
    uint64_t carry = static_cast<uint64_t>(digit);
    for (uint32_t& limb : result.limbs_) {
      carry += static_cast<uint64_t>(limb) * static_cast<uint64_t>(base);
      limb = low_word(carry);
      carry >>= kWordBits;
    }
    if (carry != 0) result.limbs_.push_back(low_word(carry));
  }
  if (result.bits() > kMaxBits) return std::nullopt;
  return result;
}

int BigInt::bits() const {
  if (limbs_.empty()) return 0;
  return static_cast<int>(limbs_.size() - 1) * kWordBits +
         static_cast<int>(std::bit_width(limbs_.back()));
}

std::optional<int64_t> BigInt::to_int64() const {
  if (bits() > 62) return std::nullopt;
  uint64_t magnitude = 0;
  for (size_t i = limbs_.size(); i-- > 0;) magnitude = magnitude << kWordBits | limbs_[i];
  const auto value = static_cast<int64_t>(magnitude);
  return negative_ ? -value : value;
}

std::string BigInt::text() const {
  if (limbs_.empty()) return "0";
  constexpr uint32_t kChunk = 1'000'000'000;
  std::string reversed;
  std::vector<uint32_t> rest = limbs_;
  while (!rest.empty()) {
    uint64_t carry = 0;
    for (size_t i = rest.size(); i-- > 0;) {
      carry = carry << kWordBits | rest[i];
      rest[i] = low_word(carry / kChunk);
      carry %= kChunk;
    }
    while (!rest.empty() && rest.back() == 0) rest.pop_back();
    for (int i = 0; i < 9 && (carry != 0 || !rest.empty()); ++i, carry /= 10)
      reversed += static_cast<char>('0' + carry % 10);
  }
  if (negative_) reversed += '-';
  std::reverse(reversed.begin(), reversed.end());
  return reversed;
}

BigInt::Parts BigInt::parts() const {
  // 53 bits at a time, so that each part is a double exactly.
  const auto take = [this](int from) {  // bits from..from+52 of the magnitude
    uint64_t value = 0;
    for (int b = from + 52; b >= from; --b) {
      const auto limb = static_cast<size_t>(std::max(b, 0) / kWordBits);
      const bool set = b >= 0 && limb < limbs_.size() && (limbs_[limb] >> (b % kWordBits) & 1) != 0;
      value = value << 1 | (set ? 1u : 0u);
    }
    return static_cast<double>(value);
  };
  const int top = bits();
  Parts p;
  p.exponent = top - 53;
  p.high = take(top - 53);
  p.low = take(top - 106) * 0x1p-53;
  return p;
}

BigInt BigInt::operator-() const {
  BigInt result = *this;
  result.negative_ = !negative_ && !is_zero();
  return result;
}

BigInt BigInt::abs() const { return negative_ ? -*this : *this; }

int BigInt::compare_magnitude(const BigInt& a, const BigInt& b) {
  if (a.limbs_.size() != b.limbs_.size()) return a.limbs_.size() < b.limbs_.size() ? -1 : 1;
  for (size_t i = a.limbs_.size(); i-- > 0;) {
    if (a.limbs_[i] != b.limbs_[i]) return a.limbs_[i] < b.limbs_[i] ? -1 : 1;
  }
  return 0;
}

int BigInt::compare(const BigInt& a, const BigInt& b) {
  if (a.negative_ != b.negative_) return a.negative_ ? -1 : 1;
  return a.negative_ ? compare_magnitude(b, a) : compare_magnitude(a, b);
}

std::vector<uint32_t> BigInt::add_magnitude(const std::vector<uint32_t>& a,
                                            const std::vector<uint32_t>& b) {
  std::vector<uint32_t> sum(std::max(a.size(), b.size()));
  uint64_t carry = 0;
  for (size_t i = 0; i < sum.size(); ++i) {
    carry += (i < a.size() ? a[i] : 0ull) + (i < b.size() ? b[i] : 0ull);
    sum[i] = low_word(carry);
    carry >>= kWordBits;
  }
  if (carry != 0) sum.push_back(low_word(carry));
  return sum;
}

std::vector<uint32_t> BigInt::subtract_magnitude(const std::vector<uint32_t>& a,
                                                 const std::vector<uint32_t>& b) {
  std::vector<uint32_t> difference(a.size());
  uint64_t borrow = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const uint64_t take = (i < b.size() ? b[i] : 0ull) + borrow;
    borrow = a[i] < take ? 1 : 0;
    difference[i] = low_word(a[i] - take);
  }
  return difference;
}

BigInt operator+(const BigInt& a, const BigInt& b) {
  BigInt result;
  if (a.negative_ == b.negative_) {
    result.limbs_ = BigInt::add_magnitude(a.limbs_, b.limbs_);
    result.negative_ = a.negative_;
  } else if (BigInt::compare_magnitude(a, b) >= 0) {
    result.limbs_ = BigInt::subtract_magnitude(a.limbs_, b.limbs_);
    result.negative_ = a.negative_;
  } else {
    result.limbs_ = BigInt::subtract_magnitude(b.limbs_, a.limbs_);
    result.negative_ = b.negative_;
  }
  result.trim();
  return result;
}

BigInt operator-(const BigInt& a, const BigInt& b) { return a + -b; }

BigInt operator*(const BigInt& a, const BigInt& b) {
  BigInt result;
  if (a.is_zero() || b.is_zero()) return result;
  result.limbs_.assign(a.limbs_.size() + b.limbs_.size(), 0);
  for (size_t i = 0; i < a.limbs_.size(); ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < b.limbs_.size(); ++j) {
      carry += result.limbs_[i + j] + static_cast<uint64_t>(a.limbs_[i]) * b.limbs_[j];
      result.limbs_[i + j] = low_word(carry);
      carry >>= kWordBits;
    }
    result.limbs_[i + b.limbs_.size()] = low_word(carry);
  }
  result.negative_ = a.negative_ != b.negative_;
  result.trim();
  return result;
}

BigInt BigInt::shifted_left(int count) const {
  if (is_zero()) return {};
  BigInt result;
  result.negative_ = negative_;
  result.limbs_.assign(static_cast<size_t>(count / kWordBits), 0);
  const int shift = count % kWordBits;
  uint64_t carry = 0;
  for (uint32_t limb : limbs_) {
    carry |= static_cast<uint64_t>(limb) << shift;
    result.limbs_.push_back(low_word(carry));
    carry >>= kWordBits;
  }
  result.limbs_.push_back(low_word(carry));
  result.trim();
  return result;
}

// Knuth, The Art of Computer Programming 2, 4.3.1, algorithm D.
void BigInt::divide(const BigInt& a, const BigInt& b, BigInt& quotient, BigInt& remainder) {
  const bool a_negative = a.negative_, b_negative = b.negative_;
  if (compare_magnitude(a, b) < 0) {
    BigInt rest = a;
    quotient = BigInt();
    remainder = std::move(rest);
    return;
  }
  const size_t n = b.limbs_.size(), m = a.limbs_.size() - n;
  const int shift = std::countl_zero(b.limbs_.back());
  const std::vector<uint32_t> v = b.shifted_left(shift).limbs_;
  std::vector<uint32_t> u = a.shifted_left(shift).limbs_;
  u.resize(a.limbs_.size() + 1);
  std::vector<uint32_t> q(m + 1);
  for (size_t j = m + 1; j-- > 0;) {
    const uint64_t top = static_cast<uint64_t>(u[j + n]) << kWordBits | u[j + n - 1];
    uint64_t guess = top / v[n - 1], rest = top % v[n - 1];
    while (guess > UINT32_MAX || (n > 1 && guess * v[n - 2] > (rest << kWordBits | u[j + n - 2]))) {
      --guess;
      rest += v[n - 1];
      if (rest > UINT32_MAX) break;
    }
    uint64_t carry = 0;
    int64_t borrow = 0;
    for (size_t i = 0; i < n; ++i) {
      carry += guess * v[i];
      borrow += static_cast<int64_t>(u[i + j]) - static_cast<int64_t>(low_word(carry));
      u[i + j] = low_word(static_cast<uint64_t>(borrow));
      borrow >>= kWordBits;
      carry >>= kWordBits;
    }
    borrow += static_cast<int64_t>(u[j + n]) - static_cast<int64_t>(carry);
    u[j + n] = low_word(static_cast<uint64_t>(borrow));
    if (borrow < 0) {  // the guess was one too high
      --guess;
      uint64_t sum = 0;
      for (size_t i = 0; i < n; ++i) {
        sum += static_cast<uint64_t>(u[i + j]) + v[i];
        u[i + j] = low_word(sum);
        sum >>= kWordBits;
      }
      u[j + n] += low_word(sum);
    }
    q[j] = low_word(guess);
  }
  quotient.limbs_ = std::move(q);
  quotient.negative_ = a_negative != b_negative;
  quotient.trim();
  remainder.limbs_.assign(n, 0);
  for (size_t i = 0; i < n; ++i) {
    const uint64_t pair = static_cast<uint64_t>(u[i + 1]) << kWordBits | u[i];
    remainder.limbs_[i] = low_word(pair >> shift);
  }
  remainder.negative_ = a_negative;
  remainder.trim();
}

BigInt BigInt::gcd(const BigInt& a, const BigInt& b) {
  BigInt x = a.abs(), y = b.abs(), quotient, rest;
  while (!y.is_zero()) {
    const auto small_x = x.to_int64(), small_y = y.to_int64();
    if (small_x && small_y) return std::gcd(*small_x, *small_y);
    divide(x, y, quotient, rest);
    x = std::move(y);
    y = std::move(rest);
  }
  return x;
}

std::optional<BigInt> power(const BigInt& base, int64_t exponent, Work& work) {
  if (exponent == 0 || base.is_one()) return BigInt(1);
  if (base.is_zero()) return BigInt();
  if (base == BigInt(-1)) return BigInt(exponent % 2 == 0 ? 1 : -1);
  if (exponent > BigInt::kMaxBits || (base.bits() - 1) * exponent >= BigInt::kMaxBits)
    return std::nullopt;
  BigInt result = 1, square = base;
  for (;;) {
    if ((exponent & 1) != 0) {
      if (!work.spend(result.words() * square.words())) return std::nullopt;
      result = result * square;
    }
    exponent >>= 1;
    if (exponent == 0) break;
    if (!work.spend(square.words() * square.words())) return std::nullopt;
    square = square * square;
  }
  if (result.bits() > BigInt::kMaxBits) return std::nullopt;
  return result;
}

std::optional<BigInt> exact_root(const BigInt& value, int k, Work& work) {
  if (value.is_zero() || value.is_one()) return value;
  // Newton's iteration from above: x <- ((k-1) x + value / x^(k-1)) / k until it stops falling.
  BigInt x = BigInt(1).shifted_left((value.bits() + k - 1) / k), quotient, rest;
  for (;;) {
    const auto lower = power(x, k - 1, work);
    if (!lower || !work.spend(4 * value.words() * (x.words() + 8))) return std::nullopt;
    BigInt::divide(value, *lower, quotient, rest);
    const BigInt sum = x * BigInt(k - 1) + quotient;
    BigInt next;
    BigInt::divide(sum, BigInt(k), next, rest);
    if (!(next < x)) break;
    x = std::move(next);
  }
  const auto check = power(x, k, work);
  if (!check || !(*check == value)) return std::nullopt;
  return x;
}

MaybeRational BigRational::make(BigInt num, BigInt den, Work& work) {
  if (den.is_zero()) return std::nullopt;
  if (num.bits() > 2 * BigInt::kMaxBits || den.bits() > 2 * BigInt::kMaxBits) return std::nullopt;
  if (den.is_negative()) {
    num = -num;
    den = -den;
  }
  if (!den.is_one()) {
    // Each step of Euclid's algorithm takes 1.7 bits off and costs about 60 + 3 words.
    const int64_t bits = std::min(num.bits(), den.bits());
    const bool small = num.bits() <= 62 && den.bits() <= 62;
    if (!work.spend(small ? 10 : bits * (60 + 3 * std::max(num.words(), den.words())) / 2))
      return std::nullopt;
    const BigInt common = BigInt::gcd(num, den);
    if (!common.is_one()) {
      BigInt rest, reduced;
      BigInt::divide(num, common, reduced, rest);
      num = std::move(reduced);
      BigInt::divide(den, common, reduced, rest);
      den = std::move(reduced);
    }
  }
  if (num.bits() > BigInt::kMaxBits || den.bits() > BigInt::kMaxBits) return std::nullopt;
  BigRational result(std::move(num));
  result.den = std::move(den);
  return result;
}

std::string BigRational::text() const {
  return is_integer() ? num.text() : num.text() + "/" + den.text();
}

namespace {
int64_t product_cost(const BigRational& a, const BigRational& b) {
  return 20 + (a.num.words() + a.den.words()) * (b.num.words() + b.den.words());
}
}  // namespace

MaybeRational add(const BigRational& a, const BigRational& b, Work& work) {
  if (!work.spend(product_cost(a, b))) return std::nullopt;
  return BigRational::make(a.num * b.den + b.num * a.den, a.den * b.den, work);
}

MaybeRational subtract(const BigRational& a, const BigRational& b, Work& work) {
  return add(a, negate(b), work);
}

MaybeRational multiply(const BigRational& a, const BigRational& b, Work& work) {
  if (!work.spend(product_cost(a, b))) return std::nullopt;
  return BigRational::make(a.num * b.num, a.den * b.den, work);
}

MaybeRational divide(const BigRational& a, const BigRational& b, Work& work) {
  if (b.is_zero() || !work.spend(product_cost(a, b))) return std::nullopt;
  return BigRational::make(a.num * b.den, a.den * b.num, work);
}

MaybeRational power(const BigRational& base, int64_t exponent, Work& work) {
  if (exponent < 0 && base.is_zero()) return std::nullopt;
  const int64_t magnitude = exponent < 0 ? -exponent : exponent;
  const auto num = power(base.num, magnitude, work);
  const auto den = power(base.den, magnitude, work);
  if (!num || !den) return std::nullopt;
  BigRational result;  // powers of coprime numbers are coprime
  result.num = *num;
  result.den = *den;
  if (exponent < 0) {
    std::swap(result.num, result.den);
    if (result.den.is_negative()) {
      result.num = -result.num;
      result.den = -result.den;
    }
  }
  return result;
}

BigRational negate(const BigRational& a) {
  BigRational result = a;
  result.num = -a.num;
  return result;
}

int compare(const BigRational& a, const BigRational& b) {
  return BigInt::compare(a.num * b.den, b.num * a.den);
}

BigInt floor(const BigRational& a) {
  BigInt quotient, rest;
  BigInt::divide(a.num, a.den, quotient, rest);
  return rest.is_negative() ? quotient - BigInt(1) : quotient;
}

}  // namespace ponder
