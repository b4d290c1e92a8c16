// Regular expressions as grammars; regex_syntax.h says what is understood.
#pragma once

#include <memory>
#include <string_view>

#include "core/status.h"
#include "engine/grammar.h"
#include "engine/regex_syntax.h"

namespace ponder {

class JsonGrammar;

// A tree without anchors as an expression; with `json`, as what stands between a JSON string's
// quotes, where each character has one spelling (JsonGrammar::char_in_string).
GrammarBuilder::Expr regex_expr(GrammarBuilder& builder, const RegexTree& tree,
                                JsonGrammar* json = nullptr);

// The whole text must match.
Result<std::shared_ptr<const Grammar>> compile_regex(std::string_view pattern);

}  // namespace ponder
