// Which language a text is in, by its script.
#pragma once

#include <cstdint>
#include <string_view>

namespace ponder {

enum class Language : uint8_t { kEnglish, kChinese };

constexpr std::string_view language_name(Language l) {
  return l == Language::kEnglish ? "en" : "zh";
}

// The share of the words of `text` that are in `language`, 0..1. A run of two or more Latin letters
// is an English word, a CJK ideograph a Chinese one. Neutral: digits, signs, single letters (x), LaTeX
// commands (\boxed) and tags (<think>). 0 for a text without words. Linear time, any bytes.
double script_share(std::string_view text, Language language);

// The language of most of its words; English for a text without any.
Language language_of(std::string_view text);

}  // namespace ponder
