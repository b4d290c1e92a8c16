// GBNF, llama.cpp's notation for grammars.
#pragma once

#include <memory>
#include <string_view>

#include "core/status.h"
#include "engine/grammar.h"

namespace ponder {

// Rules `name ::= alternatives`, "root" is where a text begins. Understood: "literals" and
// [classes], [^classes] with the escapes \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH; . for any
// character; groups, |, * + ? {m} {m,} {m,n} {,n}; # comments; line breaks within parentheses and
// after | and ::=. kUnsupported: tokens written <...>. kInvalid with line and column: anything
// else, a rule defined twice or not at all, left recursion. kExhausted: 1 MiB, 200 levels and the
// limits of GrammarBuilder.
Result<std::shared_ptr<const Grammar>> compile_gbnf(std::string_view text);

}  // namespace ponder
