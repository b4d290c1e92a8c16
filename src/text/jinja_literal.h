// Strings and numbers as templates (and str-to-number conversions) write them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

// What stands between the quotes, with Python's escapes resolved. kInvalid for a broken escape.
Result<std::string> unescape_string(std::string_view text);

struct NumberLiteral {
  size_t size;
  std::optional<Value> value;  // none: an integer that is too large
};
// The longest number at the start of `text`, in Jinja's syntax: 1_000, 0xff, 0b1, 1.5e3. Behind a
// point (x.0.5) only an integer is read. REQUIRES: text starts with a digit
NumberLiteral read_number(std::string_view text, bool behind_point);

// Python's int(text, base), base 0 or 2 to 36; none if that raises
// ValueError.
std::optional<Value> parse_int(std::string_view text, int base);
// Python's float(text).
std::optional<double> parse_float(std::string_view text);

}  // namespace ponder::jinja
