// UTF-8, one character at a time. Broken bytes are cut as the Encoding Standard (and Rust's
// from_utf8_lossy) cuts them: each longest prefix of some character that goes no further is one
// error and becomes one U+FFFD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ponder {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Char {
  char32_t code = 0xFFFD;  // U+FFFD if not valid
  uint8_t size = 1;        // bytes it takes, 1..4
  bool valid = false;
  bool cut_short = false;  // not valid only because the text ends inside the character
};

// The character at byte `at`. REQUIRES: at < text.size()
Utf8Char utf8_at(std::string_view text, size_t at);

bool is_utf8(std::string_view text);

// `text` with each error replaced by U+FFFD.
std::string utf8_lossy(std::string_view text);

// How many bytes of a character that has begun but not ended stand at the end of `text`, 0..3.
size_t utf8_unfinished(std::string_view text);

// REQUIRES: code is a Unicode scalar value
void append_utf8(std::string& out, char32_t code);

}  // namespace ponder
