#include "text/jinja_literal.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "text/jinja_unicode.h"
#include "text/utf8.h"

namespace ponder::jinja {
namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

int digit_value(char c) {
  if (is_ascii_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

// `digits`, each one of `base`, possibly with _ between them. None: beyond 64 bits and not decimal.
std::optional<Value> integer_of(std::string_view digits, int base, bool negative) {
  std::string plain(negative ? "-" : "");
  for (const char c : digits) {
    if (c != '_') plain += c;
  }
  int64_t value = 0;
  const auto end = std::from_chars(plain.data(), plain.data() + plain.size(), value, base);
  if (end.ec == std::errc()) return Value::integer(value);
  if (base != 10) return std::nullopt;
  const size_t sign = negative ? 1 : 0;
  return Value::big_integer(plain.erase(sign, plain.find_first_not_of('0', sign) - sign));
}

// The end of `digits (_ digits)*` from `at`; `at` itself if there is no digit.
template <typename IsDigit>
size_t digits_end(std::string_view text, size_t at, IsDigit is) {
  size_t end = at;
  while (end < text.size() && (is(text[end]) || (text[end] == '_' && end > at &&
                                                 end + 1 < text.size() && is(text[end + 1])))) {
    ++end;
  }
  return end;
}

double double_of(std::string_view text) {
  std::string plain;
  for (const char c : text) {
    if (c != '_') plain += c;
  }
  double value = 0;
  const auto end = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  if (end.ec == std::errc::result_out_of_range) {  // too large, or too small
    const size_t e = plain.find_first_of("eE");
    const bool small = e != std::string::npos ? plain[e + 1] == '-' : plain[plain[0] == '-'] == '0';
    value = small ? 0.0 : std::numeric_limits<double>::infinity();
    if (plain[0] == '-') value = -value;
  }
  return value;
}

// The end of a fraction and exponent behind the whole part that ends at `at`; `at` if neither.
size_t float_end(std::string_view text, size_t at) {
  size_t end = at;
  if (end + 1 < text.size() && text[end] == '.' && is_ascii_digit(text[end + 1])) {
    end = digits_end(text, end + 1, is_ascii_digit);
  }
  size_t exponent = end;
  if (exponent < text.size() && (text[exponent] == 'e' || text[exponent] == 'E')) {
    ++exponent;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    const size_t stop = digits_end(text, exponent, is_ascii_digit);
    if (stop > exponent) end = stop;
  }
  return end;
}

// The code point that `count` hex digits at `at` write; none if they are not all there.
std::optional<uint32_t> hex_digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return std::nullopt;
  uint32_t code = 0;
  const auto end = std::from_chars(text.data() + at, text.data() + at + count, code, 16);
  if (end.ec != std::errc() || end.ptr != text.data() + at + count) return std::nullopt;
  return code;
}

// Reads \xhh, \uhhhh and \Uhhhhhhhh; `at` is the letter's place.
Status append_hex_escape(std::string& out, std::string_view text, size_t& at) {
  const size_t count = text[at] == 'x' ? 2 : text[at] == 'u' ? 4 : 8;
  const auto code = hex_digits(text, at + 1, count);
  if (!code) return invalid(fmt::format("\\{} wants {} hexadecimal digits", text[at], count));
  if (*code > 0x10FFFF || (*code >= 0xD800 && *code <= 0xDFFF)) {
    return invalid(fmt::format("\\{}{:x} is no character", text[at], *code));
  }
  append_utf8(out, static_cast<char32_t>(*code));
  at += 1 + count;
  return {};
}

}  // namespace

Result<std::string> unescape_string(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '\\' || at + 1 >= text.size()) {
      out += text[at++];
      continue;
    }
    ++at;
    const char c = text[at];
    constexpr std::string_view kLetters = "abfnrtv\\'\"";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    if (const size_t known = kLetters.find(c); known != std::string_view::npos) {
      out += kMeanings[known];
      ++at;
    } else if (c == '\n') {
      ++at;
    } else if (c >= '0' && c <= '7') {
      uint32_t code = 0;
      for (int i = 0; i < 3 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++i) {
        code = code * 8 + static_cast<uint32_t>(text[at++] - '0');
      }
      append_utf8(out, static_cast<char32_t>(code));
    } else if (c == 'x' || c == 'u' || c == 'U') {
      RETURN_IF_ERROR(append_hex_escape(out, text, at));
    } else if (c == 'N') {
      return invalid("\\N{...} is not supported; write the character itself or \\uXXXX");
    } else if (static_cast<unsigned char>(c) >= 0x80) {  // Python's escape of it is escaped
      const Utf8Char wide = utf8_at(text, at);
      const auto code = static_cast<uint32_t>(wide.code);
      out += code < 0x100     ? fmt::format("\\x{:02x}", code)
             : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\U{:08x}", code);
      at += wide.size;
    } else {
      out += '\\';
      out += c;
      ++at;
    }
  }
  return out;
}

NumberLiteral read_number(std::string_view text, bool behind_point) {
  const size_t whole = digits_end(text, 0, is_ascii_digit);
  const size_t end = behind_point ? whole : float_end(text, whole);
  if (end > whole) return {end, Value::real(double_of(text.substr(0, end)))};
  constexpr std::string_view kPrefixes = "bBoOxX";
  if (text.size() > 2 && text[0] == '0') {
    if (const size_t kind = kPrefixes.find(text[1]); kind != std::string_view::npos) {
      const int base = kind < 2 ? 2 : kind < 4 ? 8 : 16;
      const size_t first = text[2] == '_' ? 3 : 2;
      const size_t stop = digits_end(text, first, [base](char c) { return digit_value(c) < base; });
      if (stop > first) return {stop, integer_of(text.substr(first, stop - first), base, false)};
    }
  }
  // A decimal does not start with 0, unless it is all zeros.
  const size_t size = text[0] != '0' ? whole : digits_end(text, 0, [](char c) { return c == '0'; });
  return {size, integer_of(text.substr(0, size), 10, false)};
}

std::optional<Value> parse_int(std::string_view text, int base) {
  std::string_view rest = strip(text, true, true);
  const bool negative = !rest.empty() && rest[0] == '-';
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  if (rest.size() > 1 && rest[0] == '0') {
    const char letter = static_cast<char>(rest[1] | 0x20);
    const int prefix = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (prefix != 0 && (base == 0 || base == prefix)) {
      base = prefix;
      rest.remove_prefix(2);
      if (!rest.empty() && rest[0] == '_') rest.remove_prefix(1);
    } else if (base == 0 && rest.find_first_not_of("0_") != std::string_view::npos) {
      return std::nullopt;
    }
  }
  if (base == 0) base = 10;
  const size_t end = digits_end(rest, 0, [base](char c) { return digit_value(c) < base; });
  if (end == 0 || end != rest.size()) return std::nullopt;
  return integer_of(rest, base, negative);
}

std::optional<double> parse_float(std::string_view text) {
  std::string_view rest = strip(text, true, true);
  const bool negative = !rest.empty() && rest[0] == '-';
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  const std::string word = to_lower(rest);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (word == "inf" || word == "infinity") return negative ? -kInfinity : kInfinity;
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  // Digits on at least one side of the point.
  std::string number = negative ? "-" : "";
  size_t whole = digits_end(rest, 0, is_ascii_digit);
  number += whole == 0 ? "0" : rest.substr(0, whole);
  if (whole < rest.size() && rest[whole] == '.') {
    const size_t fraction = digits_end(rest, whole + 1, is_ascii_digit);
    if (fraction == whole + 1 && whole == 0) return std::nullopt;
    number += '.';
    number += fraction == whole + 1 ? "0" : rest.substr(whole + 1, fraction - whole - 1);
    whole = fraction;
  } else if (whole == 0) {
    return std::nullopt;
  }
  const size_t end = float_end(rest, whole);
  if (end != rest.size() || (end > whole && rest[whole] == '.')) return std::nullopt;
  return double_of(number + std::string(rest.substr(whole)));
}

}  // namespace ponder::jinja
