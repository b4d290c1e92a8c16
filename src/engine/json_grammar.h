// The parts that JSON is made of, as grammar expressions.
//
// White space is bounded, so that a model cannot pad for ever: between the parts of an object or
// array may stand nothing, one space, or a newline and up to 40 spaces and tabs; none before a
// comma or colon, and none outside the value. Numbers have at most 19 digits before the point and
// 20 after, and stay within a double's range.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"
#include "engine/grammar.h"
#include "engine/json_value.h"

namespace ponder {

class JsonGrammar {
 public:
  using Expr = GrammarBuilder::Expr;

  explicit JsonGrammar(GrammarBuilder& builder) : b_(builder) {}

  Expr space();   // white space as above
  Expr comma();   // and the white space after it
  Expr string();  // any string, with every escape; a surrogate only with its other half
  Expr string(uint32_t min_chars, uint32_t max_chars);
  Expr integer();  // any, as JSON writes integers: no point, no exponent
  Expr number();
  Expr value();   // any value
  Expr object();  // any object
  Expr array();
  // Exactly this value, its strings written by json_quoted(); members in its order.
  Expr constant(const JsonValue& value);
  // One character of `set` within a string: escaped only where it must be.
  Expr char_in_string(const CharSet& set);
  // "name": and the white space after it
  Expr key(std::string_view name);
  // Between quotes, anything without escapes but the given names.
  Expr key_except(std::vector<std::u32string> names);

 private:
  using RuleId = GrammarBuilder::RuleId;
  Expr any_char();
  Expr free_chars();
  Expr except_below(std::span<const std::u32string> names, size_t at);
  template <typename Make>
  Expr shared(std::optional<RuleId>& rule, const char* name, const Make& make);

  GrammarBuilder& b_;
  std::optional<RuleId> space_, string_, integer_, number_, value_, object_, array_, free_;
};

// A JSON object or, with `any_value`, any JSON value.
Result<std::shared_ptr<const Grammar>> json_grammar(bool any_value = false);

}  // namespace ponder
