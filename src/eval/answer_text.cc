#include "eval/answer_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

namespace ponder {
namespace {

struct Sign {
  char32_t code;
  std::string_view text;
};

constexpr Sign kSigns[] = {{0xA0, " "},
                           {0xA3, "\\pounds "},
                           {0xA5, "\\yen "},
                           {0xAC, "\\neg "},
                           {0xB0, "^\\circ "},
                           {0xB1, "\\pm "},
                           {0xB7, "\\cdot "},
                           {0xBC, "\\frac{1}{4}"},
                           {0xBD, "\\frac{1}{2}"},
                           {0xBE, "\\frac{3}{4}"},
                           {0xD7, "\\times "},
                           {0xF7, "\\div "},
                           {0x3B1, "\\alpha "},
                           {0x3B2, "\\beta "},
                           {0x3B3, "\\gamma "},
                           {0x3B4, "\\delta "},
                           {0x3B8, "\\theta "},
                           {0x3BB, "\\lambda "},
                           {0x3BC, "\\mu "},
                           {0x3C0, "\\pi "},
                           {0x3C1, "\\rho "},
                           {0x3C3, "\\sigma "},
                           {0x3C6, "\\phi "},
                           {0x3C9, "\\omega "},
                           {0x2002, " "},
                           {0x2003, " "},
                           {0x2009, " "},
                           {0x200B, ""},
                           {0x200C, ""},
                           {0x200D, ""},
                           {0x2010, "-"},
                           {0x2011, "-"},
                           {0x2012, "-"},
                           {0x2013, "-"},
                           {0x2014, "-"},
                           {0x2018, "'"},
                           {0x2019, "'"},
                           {0x201C, "\""},
                           {0x201D, "\""},
                           {0x2026, "..."},
                           {0x202F, " "},
                           {0x2032, "'"},
                           {0x2044, "/"},
                           {0x20AC, "\\euro "},
                           {0x2102, "\\mathbb{C}"},
                           {0x2103, "^\\circ C"},
                           {0x211D, "\\mathbb{R}"},
                           {0x2124, "\\mathbb{Z}"},
                           {0x2150, "\\frac{1}{7}"},
                           {0x2151, "\\frac{1}{9}"},
                           {0x2152, "\\frac{1}{10}"},
                           {0x2153, "\\frac{1}{3}"},
                           {0x2154, "\\frac{2}{3}"},
                           {0x2155, "\\frac{1}{5}"},
                           {0x2156, "\\frac{2}{5}"},
                           {0x2157, "\\frac{3}{5}"},
                           {0x2158, "\\frac{4}{5}"},
                           {0x2159, "\\frac{1}{6}"},
                           {0x215A, "\\frac{5}{6}"},
                           {0x215B, "\\frac{1}{8}"},
                           {0x215C, "\\frac{3}{8}"},
                           {0x215D, "\\frac{5}{8}"},
                           {0x215E, "\\frac{7}{8}"},
                           {0x2205, "\\emptyset "},
                           {0x2208, "\\in "},
                           {0x2212, "-"},
                           {0x2215, "/"},
                           {0x2216, "\\setminus "},
                           {0x221A, "\\sqrt "},
                           {0x221B, "\\sqrt[3]"},
                           {0x221E, "\\infty "},
                           {0x2220, "\\angle "},
                           {0x2227, " and "},
                           {0x2228, " or "},
                           {0x2229, "\\cap "},
                           {0x222A, "\\cup "},
                           {0x2236, ":"},
                           {0x2248, "\\approx "},
                           {0x2260, "\\ne "},
                           {0x2264, "\\le "},
                           {0x2265, "\\ge "},
                           {0x22C5, "\\cdot "},
                           {0x25B3, "\\triangle "},
                           {0x2A7D, "\\le "},
                           {0x2A7E, "\\ge "},
                           {0x3000, " "},
                           {0x3001, ", "},
                           {0x3002, ". "},
                           {0x3010, "["},
                           {0x3011, "]"},
                           {0xFEFF, ""},
                           {0xFFE1, "\\pounds "},
                           {0xFFE5, "\\yen "}};

constexpr bool in_order() {
  for (size_t i = 1; i < std::size(kSigns); ++i) {
    if (kSigns[i - 1].code >= kSigns[i].code) return false;
  }
  return true;
}
static_assert(in_order(), "looked up by halving");

struct Character {
  char32_t code = 0;
  size_t length = 1;
  bool good = true;
};

Character decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {0, 1, false};
  char32_t code = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {0, 1, false};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  return {code, length, true};
}

char superscript(char32_t code) {
  if (code == 0x2070 || (code >= 0x2074 && code <= 0x2079))
    return static_cast<char>('0' + (code - 0x2070));
  switch (code) {
    case 0xB9:
      return '1';
    case 0xB2:
      return '2';
    case 0xB3:
      return '3';
    case 0x207A:
      return '+';
    case 0x207B:
      return '-';
    case 0x207F:
      return 'n';
    default:
      return 0;
  }
}

char subscript(char32_t code) {
  return code >= 0x2080 && code <= 0x2089 ? static_cast<char>('0' + (code - 0x2080)) : '\0';
}

}  // namespace

size_t utf8_length(std::string_view text) { return decode(text).length; }

std::string ascii_math(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      if (byte >= 0x20 && byte != 0x7F) {
        out += text[i];
      } else if (byte == '\n' || byte == '\t' || byte == '\r') {
        out += byte == '\n' ? '\n' : ' ';
      }
      ++i;
      continue;
    }
    Character c = decode(text.substr(i));
    using Map = char (*)(char32_t);
    const Map map = superscript(c.code) != 0 ? superscript : subscript;
    if (c.good && map(c.code) != 0) {  // a run of raised or lowered characters is one group
      out += map == superscript ? "^{" : "_{";
      while (map(c.code) != 0) {
        out += map(c.code);
        i += c.length;
        c = i < text.size() ? decode(text.substr(i)) : Character{};
      }
      out += '}';
      continue;
    }
    i += c.length;
    if (!c.good) continue;
    if (c.code >= 0xFF01 && c.code <= 0xFF5E) {
      out += static_cast<char>(c.code - 0xFF01 + '!');
      continue;
    }
    const auto* at = std::lower_bound(std::begin(kSigns), std::end(kSigns), c.code,
                                      [](const Sign& s, char32_t code) { return s.code < code; });
    if (at != std::end(kSigns) && at->code == c.code) {
      out += at->text;
    } else {
      out += text.substr(i - c.length, c.length);
    }
  }
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

namespace {

struct ChineseDigit {
  std::string_view text;
  int value;
};
constexpr ChineseDigit kChineseDigits[] = {{"零", 0}, {"〇", 0}, {"一", 1}, {"二", 2},
                                           {"两", 2}, {"三", 3}, {"四", 4}, {"五", 5},
                                           {"六", 6}, {"七", 7}, {"八", 8}, {"九", 9}};
constexpr ChineseDigit kChineseUnits[] = {{"十", 10}, {"百", 100}, {"千", 1000}};

template <size_t N>
int look_up(const ChineseDigit (&table)[N], std::string_view character) {
  for (const ChineseDigit& d : table) {
    if (d.text == character) return d.value;
  }
  return -1;
}

// A whole number below 10^16; digit strings ("二〇二四") too.
std::optional<int64_t> chinese_integer(std::string_view text) {
  if (text.empty() || text.size() > 60) return std::nullopt;
  int64_t total = 0, section = 0, digit = -1;
  bool has_unit = false;
  int digits = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text.substr(i));
    const std::string_view c = text.substr(i, length);
    i += length;
    if (const int d = look_up(kChineseDigits, c); d >= 0) {
      if (digit > 0 && !has_unit && ++digits < 12) {
        digit = digit * 10 + d;  // digits side by side
      } else {
        digit = digit >= 0 && !has_unit ? digit * 10 + d : d;
      }
      if (digits >= 12) return std::nullopt;
      continue;
    }
    has_unit = true;
    if (const int u = look_up(kChineseUnits, c); u > 0) {
      section += (digit < 0 ? 1 : digit) * u;
    } else if (c == "万" || c == "亿") {
      const int64_t scale = c == "万" ? 10'000 : 100'000'000;
      total = (total + section + std::max<int64_t>(digit, 0)) * scale;
      if (total > 1'000'000'000'000'000) return std::nullopt;
      section = 0;
    } else {
      return std::nullopt;
    }
    digit = -1;
  }
  return total + section + std::max<int64_t>(digit, 0);
}

}  // namespace

std::optional<WrittenNumber> chinese_number(std::string_view text) {
  if (text.size() > 120) return std::nullopt;
  Work work;
  const auto starts = [&](std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
  };
  WrittenNumber result;
  const bool negative = starts("负");
  if (text == "半" || text == "一半") {
    result.value.den = 2;
    result.value.num = 1;
  } else if (starts("百分之")) {
    const auto inner = chinese_number(text);
    if (!inner || inner->percent) return std::nullopt;
    result = {inner->value, true};
  } else if (const size_t of = text.find("分之"); of != std::string_view::npos) {
    std::string_view whole_text, below = text.substr(0, of);
    if (const size_t and_at = below.find("又"); and_at != std::string_view::npos) {
      whole_text = below.substr(0, and_at);
      below = below.substr(and_at + 3);
    }
    const auto den = chinese_integer(below), num = chinese_integer(text.substr(of + 6));
    const auto whole = whole_text.empty() ? std::optional<int64_t>(0) : chinese_integer(whole_text);
    if (!den || !num || !whole || *den == 0) return std::nullopt;
    const auto part = BigRational::make(*num, *den, work);
    const auto sum = part ? add(*part, *whole, work) : std::nullopt;
    if (!sum) return std::nullopt;
    result.value = *sum;
  } else if (const size_t point = text.find("点"); point != std::string_view::npos) {
    const auto whole = chinese_integer(text.substr(0, point));
    std::string_view rest = text.substr(point + 3);
    if (!whole || rest.empty() || rest.size() > 36) return std::nullopt;
    int64_t num = 0, scale = 1;
    for (; !rest.empty(); rest.remove_prefix(3)) {
      const int d = rest.size() >= 3 ? look_up(kChineseDigits, rest.substr(0, 3)) : -1;
      if (d < 0) return std::nullopt;
      num = num * 10 + d;
      scale *= 10;
    }
    const auto part = BigRational::make(num, scale, work);
    const auto sum = part ? add(*part, *whole, work) : std::nullopt;
    if (!sum) return std::nullopt;
    result.value = *sum;
  } else {
    const auto whole = chinese_integer(text);
    if (!whole) return std::nullopt;
    result.value = *whole;
  }
  if (negative) result.value = negate(result.value);
  return result;
}

std::optional<BigRational> english_number(std::string_view text) {
  static constexpr std::array<std::string_view, 20> kSmall = {
      "zero",     "one",     "two",     "three",     "four",     "five",    "six",
      "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
      "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
  static constexpr std::array<std::string_view, 10> kTens = {
      "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
  if (text.empty() || text.size() > 100) return std::nullopt;
  int64_t total = 0, section = 0, sign = 1;
  bool any = false;
  for (size_t i = 0; i <= text.size();) {
    size_t end = text.find_first_of(" -", i);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view word = text.substr(i, end - i);
    const bool first = i == 0;
    i = end + 1;
    const auto* small = std::find(kSmall.begin(), kSmall.end(), word);
    const auto* tens = std::find(kTens.begin() + 2, kTens.end(), word);
    if (first && (word == "minus" || word == "negative")) {
      sign = -1;
    } else if (small != kSmall.end()) {
      if (section % 10 != 0 || (section % 100 >= 10 && section % 100 < 20)) return std::nullopt;
      section += small - kSmall.begin();
      any = true;
    } else if (tens != kTens.end()) {
      if (section % 100 != 0) return std::nullopt;
      section += (tens - kTens.begin()) * 10;
      any = true;
    } else if (word == "hundred") {
      if (!any || section == 0 || section > 9) return std::nullopt;
      section *= 100;
    } else if (word == "thousand" || word == "million") {
      if (!any || section == 0 || total % 1000 != 0) return std::nullopt;
      total += section * (word == "thousand" ? 1000 : 1'000'000);
      section = 0;
    } else if (word != "and" || !any) {
      if (any || first) {
        if (word == "half" && (first || (section == 1 && total == 0))) {
          BigRational half(sign);
          half.den = 2;
          return end == text.size() ? std::optional(half) : std::nullopt;
        }
      }
      return std::nullopt;
    }
  }
  return any ? std::optional<BigRational>(sign * (total + section)) : std::nullopt;
}

std::string normal_words(std::string_view text) {
  static constexpr std::array<std::string_view, 11> kWrappers = {
      "text",   "textbf",     "textit", "mathrm", "mbox",        "textrm",
      "mathbf", "textnormal", "left",   "right",  "operatorname"};
  std::vector<std::string> words;
  std::string word;
  const auto flush = [&] {
    if (!word.empty() && word != "the" && word != "a" && word != "an") words.push_back(word);
    word.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      size_t end = i + 1;
      while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) != 0) ++end;
      const std::string_view name = text.substr(i + 1, end - i - 1);
      if (std::find(kWrappers.begin(), kWrappers.end(), name) != kWrappers.end()) {
        flush();
        i = end - 1;
      } else if (name.empty()) {
        flush();
        ++i;  // an escaped sign or a space
      } else {
        word += name;
        i = end - 1;
      }
    } else if (static_cast<unsigned char>(c) >= 0x80 ||
               std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("+-*/^=<>|%&_'").find(c) != std::string_view::npos) {
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (c == '.' && i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '9') {
      word += c;
    } else {
      flush();
    }
  }
  flush();
  if (words.empty()) {  // nothing but an article or signs: "A", "..."
    for (char c : text) {
      if (std::isalpha(static_cast<unsigned char>(c)) != 0)
        word += static_cast<char>(std::tolower(c));
    }
    return word;
  }
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : " ") + w;
  return out;
}

}  // namespace ponder
