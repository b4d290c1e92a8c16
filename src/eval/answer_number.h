// Exact integers and fractions of bounded size, for comparing answers. Nothing here can run long or
// grow without limit: an operation that would pass the size limit or the caller's budget has no
// result.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ponder {

// What one verdict may still spend, in products of 32-bit words (about a nanosecond each).
struct Work {
  int64_t left = 150'000;
  bool spend(int64_t cost) {
    left -= cost;
    return left >= 0;
  }
};

class BigInt {
 public:
  static constexpr int kMaxBits = 4096;       // 1,233 decimal digits
  static constexpr size_t kMaxDigits = 1233;  // of a literal

  BigInt() = default;     // zero
  BigInt(int64_t value);  // NOLINT: implicit by design

  // Digits of `base` (2..36, letters in either case); empty if there is another character, none at
  // all, or too many.
  static std::optional<BigInt> parse(std::string_view digits, int base = 10);

  bool is_zero() const { return limbs_.empty(); }
  bool is_negative() const { return negative_; }
  bool is_odd() const { return !limbs_.empty() && (limbs_[0] & 1) != 0; }
  bool is_one() const { return !negative_ && limbs_.size() == 1 && limbs_[0] == 1; }
  int bits() const;  // of the magnitude; 0 for zero
  int64_t words() const { return static_cast<int64_t>(limbs_.size()); }
  std::optional<int64_t> to_int64() const;
  std::string text() const;

  // The magnitude is about (high + low) * 2^exponent, to 106 bits.
  struct Parts {
    double high = 0, low = 0;
    int exponent = 0;
  };
  Parts parts() const;

  BigInt operator-() const;
  BigInt abs() const;
  friend BigInt operator+(const BigInt& a, const BigInt& b);
  friend BigInt operator-(const BigInt& a, const BigInt& b);
  friend BigInt operator*(const BigInt& a, const BigInt& b);
  friend bool operator==(const BigInt&, const BigInt&) = default;
  friend bool operator<(const BigInt& a, const BigInt& b) { return compare(a, b) < 0; }
  static int compare(const BigInt& a, const BigInt& b);  // below, at or above zero

  // Rounds towards zero; the remainder has the sign of a. REQUIRES: b != 0
  static void divide(const BigInt& a, const BigInt& b, BigInt& quotient, BigInt& remainder);
  static BigInt gcd(const BigInt& a, const BigInt& b);  // not negative
  BigInt shifted_left(int count) const;

 private:
  static int compare_magnitude(const BigInt& a, const BigInt& b);
  static std::vector<uint32_t> add_magnitude(const std::vector<uint32_t>& a,
                                             const std::vector<uint32_t>& b);
  // REQUIRES: a >= b
  static std::vector<uint32_t> subtract_magnitude(const std::vector<uint32_t>& a,
                                                  const std::vector<uint32_t>& b);
  void trim();

  std::vector<uint32_t> limbs_;  // lowest first, no leading zeros
  bool negative_ = false;        // never for zero
};

// base^exponent, if it stays within the limits. REQUIRES: exponent >= 0
std::optional<BigInt> power(const BigInt& base, int64_t exponent, Work& work);
// The k-th root of a value that is an exact k-th power. REQUIRES: value >= 0, 2 <= k <= 64
std::optional<BigInt> exact_root(const BigInt& value, int k, Work& work);

struct BigRational {
  BigInt num;
  BigInt den = 1;  // above zero, no common factor with num

  BigRational() = default;
  BigRational(int64_t value) : num(value) {}            // NOLINT: implicit by design
  BigRational(BigInt value) : num(std::move(value)) {}  // NOLINT: implicit by design

  // In lowest terms; empty for den = 0 or without budget.
  static std::optional<BigRational> make(BigInt num, BigInt den, Work& work);

  bool is_integer() const { return den.is_one(); }
  bool is_zero() const { return num.is_zero(); }
  int sign() const { return num.is_zero() ? 0 : num.is_negative() ? -1 : 1; }
  std::optional<int64_t> to_int64() const { return is_integer() ? num.to_int64() : std::nullopt; }
  std::string text() const;  // "15", "-3", "13/4"
  friend bool operator==(const BigRational&, const BigRational&) = default;
};

using MaybeRational = std::optional<BigRational>;
MaybeRational add(const BigRational& a, const BigRational& b, Work& work);
MaybeRational subtract(const BigRational& a, const BigRational& b, Work& work);
MaybeRational multiply(const BigRational& a, const BigRational& b, Work& work);
MaybeRational divide(const BigRational& a, const BigRational& b, Work& work);  // empty for b = 0
MaybeRational power(const BigRational& base, int64_t exponent, Work& work);
BigRational negate(const BigRational& a);
// The sign of a - b. Sizes are bounded, so it needs no budget.
int compare(const BigRational& a, const BigRational& b);
BigInt floor(const BigRational& a);

}  // namespace ponder
