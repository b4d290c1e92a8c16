#include "text/jinja_unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/utf8.h"

namespace ponder::jinja {
namespace {

// Upper case of more than one character (Unicode's SpecialCasing.txt, the ones in use).
constexpr struct {
  char32_t code;
  const char* upper;
  const char* title;
} kLongUpper[] = {{U'ß', "SS", "Ss"},   {U'ŉ', "ʼN", "ʼN"},   {U'ǰ', "J̌", "J̌"},
                  {U'ﬀ', "FF", "Ff"},   {U'ﬁ', "FI", "Fi"},   {U'ﬂ', "FL", "Fl"},
                  {U'ﬃ', "FFI", "Ffi"}, {U'ﬄ', "FFL", "Ffl"}, {U'ﬅ', "ST", "St"},
                  {U'ﬆ', "ST", "St"}};

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

void append_upper(std::string& out, char32_t c, bool title) {
  for (const auto& entry : kLongUpper) {
    if (entry.code == c) {
      out += title ? entry.title : entry.upper;
      return;
    }
  }
  const auto code = static_cast<utf8proc_int32_t>(c);
  append_utf8(out, static_cast<char32_t>(title ? utf8proc_totitle(code) : utf8proc_toupper(code)));
}

// A sigma at the end of a word is written ς.
bool final_sigma(std::u32string_view chars, size_t at) {
  const auto cased_at = [&](size_t i) { return i < chars.size() && is_cased(chars[i]); };
  return at > 0 && cased_at(at - 1) && !cased_at(at + 1);
}

void append_lower(std::string& out, std::u32string_view chars, size_t at) {
  const char32_t c = chars[at];
  if (c == U'İ') {
    out += "i̇";
  } else if (c == U'Σ') {
    out += final_sigma(chars, at) ? "ς" : "σ";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

bool is_line_end(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

// The character that ends just before byte `end`. REQUIRES: end > 0
Utf8Char char_before(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) {
    --begin;
  }
  return utf8_at(text.substr(0, end), begin);
}

template <typename Strips>
std::string_view strip_if(std::string_view text, bool left, bool right, Strips strips) {
  while (left && !text.empty()) {
    const Utf8Char c = utf8_at(text, 0);
    if (!strips(c.code)) break;
    text.remove_prefix(c.size);
  }
  while (right && !text.empty()) {
    const Utf8Char c = char_before(text, text.size());
    if (!strips(c.code)) break;
    text.remove_suffix(c.size);
  }
  return text;
}

}  // namespace

size_t count_chars(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

size_t char_offset(std::string_view text, size_t index) {
  size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += utf8_at(text, at).size;
  return at;
}

std::u32string to_chars32(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    out += c.code;
    at += c.size;
  }
  return out;
}

std::string from_chars32(std::u32string_view chars) {
  std::string out;
  out.reserve(chars.size());
  for (const char32_t c : chars) append_utf8(out, c);
  return out;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

bool is_alpha(char32_t c) {
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

bool is_digit(char32_t c) {
  return is_decimal(c) || c == 0xb2 || c == 0xb3 || c == 0xb9 || c == 0x2070 ||
         (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
         (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247c) ||
         (c >= 0x2488 && c <= 0x2490) || c == 0x24ea || (c >= 0x24f5 && c <= 0x24fd) ||
         c == 0x24ff || (c >= 0x2776 && c <= 0x277e) || (c >= 0x2780 && c <= 0x2788) ||
         (c >= 0x278a && c <= 0x2792);
}

bool is_numeric(char32_t c) {
  constexpr std::u32string_view kNumerals =
      U"〇一二三四五六七八九十百千万亿兆零壹贰叁肆伍陆柒捌玖拾";
  const auto kind = category(c);
  return is_digit(c) || kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_NO ||
         kNumerals.find(c) != std::u32string_view::npos;
}

bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_upper(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LU; }
bool is_lower(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || c == U'ª' || c == U'º'; }
bool is_cased(char32_t c) {
  return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT;
}

std::string to_upper(std::string_view text) {
  std::string out;
  for (const char32_t c : to_chars32(text)) append_upper(out, c, false);
  return out;
}

std::string to_lower(std::string_view text) {
  const std::u32string chars = to_chars32(text);
  std::string out;
  for (size_t i = 0; i < chars.size(); ++i) append_lower(out, chars, i);
  return out;
}

std::string capitalize(std::string_view text) {
  const std::u32string chars = to_chars32(text);
  std::string out;
  if (!chars.empty()) append_upper(out, chars[0], true);
  for (size_t i = 1; i < chars.size(); ++i) append_lower(out, chars, i);
  return out;
}

std::string title_case(std::string_view text) {
  const std::u32string chars = to_chars32(text);
  std::string out;
  bool in_word = false;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (in_word) {
      append_lower(out, chars, i);
    } else {
      append_upper(out, chars[i], true);
    }
    in_word = is_cased(chars[i]);
  }
  return out;
}

std::string swap_case(std::string_view text) {
  const std::u32string chars = to_chars32(text);
  std::string out;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (is_upper(chars[i])) {
      append_lower(out, chars, i);
    } else {
      append_upper(out, chars[i], false);
    }
  }
  return out;
}

std::string fold_case(std::string_view text) {
  std::string out;
  for (const char32_t c : to_chars32(text)) {
    if (c == U'ß') {
      out += "ss";
    } else if (c == U'ς') {
      out += "σ";
    } else {
      append_lower(out, std::u32string_view(&c, 1), 0);
    }
  }
  return out;
}

std::string_view strip(std::string_view text, bool left, bool right) {
  return strip_if(text, left, right, is_space);
}

std::string_view strip_chars(std::string_view text, std::string_view chars, bool left, bool right) {
  const std::u32string set = to_chars32(chars);
  return strip_if(text, left, right,
                  [&](char32_t c) { return set.find(c) != std::u32string::npos; });
}

std::vector<std::string_view> split_words(std::string_view text, long max_splits) {
  std::vector<std::string_view> words;
  for (text = strip(text, true, false); !text.empty(); text = strip(text, true, false)) {
    if (max_splits >= 0 && static_cast<long>(words.size()) >= max_splits) {
      words.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      const Utf8Char c = utf8_at(text, end);
      if (is_space(c.code)) break;
      end += c.size;
    }
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

std::vector<std::string_view> rsplit_words(std::string_view text, long max_splits) {
  std::vector<std::string_view> words;
  for (text = strip(text, false, true); !text.empty(); text = strip(text, false, true)) {
    if (max_splits >= 0 && static_cast<long>(words.size()) >= max_splits) {
      words.push_back(text);
      break;
    }
    size_t begin = text.size();
    while (begin > 0) {
      const Utf8Char c = char_before(text, begin);
      if (is_space(c.code)) break;
      begin -= c.size;
    }
    words.push_back(text.substr(begin));
    text = text.substr(0, begin);
  }
  std::reverse(words.begin(), words.end());
  return words;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    const size_t end = at;
    at += c.size;
    if (!is_line_end(c.code)) continue;
    if (c.code == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

}  // namespace ponder::jinja
