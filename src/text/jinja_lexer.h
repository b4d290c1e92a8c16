// A template's text as tokens, cut as Jinja cuts it with trim_blocks and lstrip_blocks on: the
// first newline after a block goes, and so do blanks between the start of a line and a block.
// Source: the template designer documentation of Jinja 3.1, "Whitespace Control".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

// Both from 1; columns count bytes.
struct Place {
  int line = 1, column = 1;
};

// "line L, column C: message" as kInvalid.
Status invalid_at(const Place& place, const std::string& message);

enum class TokenKind : uint8_t {
  kData,
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kName,
  kConstant,  // a string or number: `value`
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  Place place;
  std::string_view text;  // in the source: data, a name, an operator
  Value value;            // kConstant
};

// `\r\n` and `\r` as `\n`, one newline at the end dropped.
std::string normalize_source(std::string_view source);

// `source` is normalized and UTF-8, and outlives the tokens. The last token is kEnd. kInvalid with
// the place for text that is no token, and for brackets that do not match.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace ponder::jinja
