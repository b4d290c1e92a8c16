// Python's view of text: characters are code points, and case, blanks and digits are Unicode's.
// All text is UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ponder::jinja {

size_t count_chars(std::string_view text);
// The byte where character `index` begins; text.size() if there are fewer.
size_t char_offset(std::string_view text, size_t index);
std::u32string to_chars32(std::string_view text);
std::string from_chars32(std::u32string_view chars);

bool is_space(char32_t c);
bool is_alnum(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);    // Nd
bool is_digit(char32_t c);      // decimals and superscript or circled digits
bool is_numeric(char32_t c);    // any number: also fractions and letters used as numbers
bool is_printable(char32_t c);  // repr() shows it as it is
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_cased(char32_t c);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title_case(std::string_view text);  // str.title()
std::string swap_case(std::string_view text);
std::string fold_case(std::string_view text);

// Without blanks at the sides asked for; with `chars`, without any of its characters there.
std::string_view strip(std::string_view text, bool left, bool right);
std::string_view strip_chars(std::string_view text, std::string_view chars, bool left, bool right);

// str.split() without a separator: words between runs of blanks. max_splits < 0: no limit; else
// what is left after so many words is the last one, blanks and all.
std::vector<std::string_view> split_words(std::string_view text, long max_splits);
std::vector<std::string_view> rsplit_words(std::string_view text, long max_splits);
// str.splitlines(): lines without (or with) their ends.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

}  // namespace ponder::jinja
