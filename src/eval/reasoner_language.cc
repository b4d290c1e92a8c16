#include "eval/reasoner_language.h"

#include <cctype>
#include <cstddef>

#include "text/utf8.h"

namespace ponder {
namespace {

struct WordCount {
  int64_t english = 0, chinese = 0;
};

bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2FFFF);
}

WordCount count_words(std::string_view text) {
  WordCount out;
  const auto letter = [&](size_t i) {
    return i < text.size() && std::isalpha(static_cast<unsigned char>(text[i])) != 0;
  };
  size_t i = 0;
  while (i < text.size()) {
    if (letter(i)) {
      const size_t begin = i;
      while (letter(i)) ++i;
      const char before = begin == 0 ? ' ' : text[begin - 1];
      const bool tag = (before == '<' || before == '/') && i < text.size() && text[i] == '>';
      if (i - begin > 1 && before != '\\' && !tag) ++out.english;
      continue;
    }
    const Utf8Char c = utf8_at(text, i);
    if (is_ideograph(c.code)) ++out.chinese;
    i += c.size;
  }
  return out;
}

}  // namespace

double script_share(std::string_view text, Language language) {
  const WordCount n = count_words(text);
  const int64_t all = n.english + n.chinese;
  if (all == 0) return 0;
  const int64_t own = language == Language::kEnglish ? n.english : n.chinese;
  return static_cast<double>(own) / static_cast<double>(all);
}

Language language_of(std::string_view text) {
  const WordCount n = count_words(text);
  return n.chinese > n.english ? Language::kChinese : Language::kEnglish;
}

}  // namespace ponder
