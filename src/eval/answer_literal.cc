#include "eval/answer_literal.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>

#include "eval/answer_tags.h"

namespace ponder {
namespace {

constexpr size_t npos = std::string_view::npos;
constexpr size_t kMaxDecimals = 400;
constexpr size_t kMaxPeriod = 40;
constexpr int kMaxExponent = 1000;

// The index of three digits, no more, behind a mark between thousands at text[i]; npos if there is
// none.
size_t next_thousands(std::string_view text, size_t i, bool bare_comma) {
  for (const std::string_view mark : {"{,}", ",\\!", "\\,", "\\!", "\\ ", ","}) {
    if (!text.substr(i).starts_with(mark) || (mark == "," && !bare_comma)) continue;
    size_t d = i + mark.size();
    while (mark == ",\\!" && d < text.size() && text[d] == ' ') ++d;
    const std::string_view three = text.substr(d, 3);
    const bool digits = three.size() == 3 && std::all_of(three.begin(), three.end(), is_digit);
    return digits && (d + 3 >= text.size() || !is_digit(text[d + 3])) ? d : npos;
  }
  return npos;
}

// The index behind "e-5" or "E12" at text[i]; npos if there is no exponent.
size_t scientific(std::string_view text, size_t i, int& exponent) {
  if (i + 1 >= text.size() || (text[i] != 'e' && text[i] != 'E')) return npos;
  size_t e = i + 1;
  const bool negative = text[e] == '-';
  if (text[e] == '-' || text[e] == '+') ++e;
  const size_t first = e;
  while (e < text.size() && is_digit(text[e]) && e < first + 4)
    exponent = exponent * 10 + (text[e++] - '0');
  if (negative) exponent = -exponent;
  const bool letter_behind = e < text.size() && ((text[e] | 32) >= 'a' && (text[e] | 32) <= 'z');
  return e > first && !letter_behind ? e : npos;
}

// "_2" or "_{16}" at text[i], and the digits before it in that base. Bases in words are names.
std::optional<Literal> with_base(std::string_view text, size_t i, const std::string& digits) {
  const bool group = text.substr(i).starts_with("_{");
  size_t at = i + (group ? 2 : 1);
  int base = 0;
  for (; at < text.size() && is_digit(text[at]) && base <= 36; ++at)
    base = base * 10 + (text[at] - '0');
  if (group && (at >= text.size() || text[at++] != '}')) return std::nullopt;
  if (base < 2 || base > 36) return std::nullopt;
  const auto value = BigInt::parse(digits, base);
  if (!value) return std::nullopt;
  Literal result;
  result.value = BigRational(*value);
  result.digits = static_cast<int>(digits.size());
  result.plain = false;
  result.end = at;
  result.good = true;
  return result;
}

}  // namespace

Literal read_literal(std::string_view text, bool grouping, bool base, Work& work) {
  Literal result;
  std::string digits;
  size_t i = 0;
  while (i < text.size() && is_digit(text[i])) digits += text[i++];
  if (!digits.empty() && digits.size() <= 3 && digits != "0") {
    for (size_t d; (d = next_thousands(text, i, grouping)) != npos; i = d + 3)
      digits += text.substr(d, 3);
  }
  if (base && i < text.size() && text[i] == '_') {
    if (auto number = with_base(text, i, digits)) return *number;
  }
  size_t decimals = 0;
  if (i + 1 < text.size() && text[i] == '.' && is_digit(text[i + 1])) {
    for (++i; i < text.size() && is_digit(text[i]); ++i, ++decimals) digits += text[i];
    result.decimals = static_cast<int>(std::min(decimals, kMaxDecimals));
  } else if (text.substr(i).starts_with(".\\overline{")) {
    result.decimals = 0;
    ++i;
  }
  const auto whole = BigInt::parse(digits);
  const auto unit = decimals <= kMaxDecimals
                        ? power(BigInt(10), static_cast<int64_t>(decimals), work)
                        : std::nullopt;
  if (!whole || !unit) return result;
  BigInt num = *whole, den = *unit;
  constexpr std::string_view kOverline = "\\overline{";
  if (result.decimals >= 0 && text.substr(i).starts_with(kOverline)) {  // 0.1\overline{6} = 15/90
    const size_t first = i + kOverline.size(), last = text.find('}', first);
    const std::string_view period = text.substr(first, last == npos ? 0 : last - first);
    const auto tail = BigInt::parse(period);
    const auto tens = power(BigInt(10), static_cast<int64_t>(period.size()), work);
    if (tail && tens && period.size() <= kMaxPeriod) {
      const BigInt nines = *tens - BigInt(1);
      num = num * nines + *tail;
      den = den * nines;
      i = last + 1;
      result.decimals = -1;
      result.plain = false;
    }
  }
  int exponent = 0;
  if (const size_t behind = scientific(text, i, exponent); behind != npos) {
    i = behind;
    result.plain = false;
    const auto factor = std::abs(exponent) <= kMaxExponent
                            ? power(BigInt(10), std::abs(exponent), work)
                            : std::nullopt;
    if (!factor) return result;
    BigInt& scaled = exponent < 0 ? den : num;
    scaled = scaled * *factor;
  }
  const auto fraction = BigRational::make(num, den, work);
  if (!fraction) return result;
  result.value = *fraction;
  result.digits =
      static_cast<int>(digits.size() - std::min(digits.find_first_not_of('0'), digits.size()));
  result.end = i;
  result.good = true;
  return result;
}

}  // namespace ponder
