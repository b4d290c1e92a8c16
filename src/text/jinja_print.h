// How values become text: Python's str() and repr(), json.dumps, and HTML escapes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

// The shortest decimal that reads back as `value`, as Python writes it: 1.0, 1e+16, nan.
std::string float_repr(double value);

std::string string_repr(std::string_view text);

// Python's str(): what {{ value }} prints; nothing for an undefined value. Errors: the meter's.
Result<std::string> to_str(const Value& value, Meter& meter);
Result<std::string> to_repr(const Value& value, Meter& meter);

// `&`, `<`, `>` and both quotes as HTML entities.
std::string escape_html(std::string_view text);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent = {};  // of one level; none: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

// json.dumps(value). kInvalid for values that JSON has no form for.
Result<std::string> to_json(const Value& value, const JsonStyle& style, Meter& meter);

}  // namespace ponder::jinja
