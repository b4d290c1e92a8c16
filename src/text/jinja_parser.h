// A template's text as a tree: Jinja 3.1's grammar with the tags that chat templates have (if, for,
// set, macro, call, filter, with, block, raw, break, continue and transformers' generation).
#pragma once

#include <cstddef>
#include <string_view>

#include "core/status.h"
#include "text/jinja_ast.h"

namespace ponder::jinja {

struct ParseLimits {
  size_t source_bytes = size_t{1} << 20;
  int depth = 150;  // of brackets, blocks and chains of dots within one another
  size_t nodes = 200'000;
};

// kInvalid with "line L, column C: " for a template that is broken, kUnsupported for tags that load
// other templates, kExhausted for a limit.
Result<Ast> parse_template(std::string_view source, const ParseLimits& limits);

}  // namespace ponder::jinja
