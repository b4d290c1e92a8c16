#include "engine/json_grammar.h"

#include <algorithm>

namespace ponder {

using Expr = GrammarBuilder::Expr;

namespace {

constexpr uint32_t kMaxIndent = 40;
constexpr uint32_t kMaxWholeDigits = 19;
constexpr uint32_t kMaxFractionDigits = 20;

// What may stand in a string as it is.
const CharSet& plain_chars() {
  static const CharSet set{{' ', '!'}, {'#', '['}, {']', kLastChar}};
  return set;
}

CharSet hex_digits() { return {{'0', '9'}, {'a', 'f'}, {'A', 'F'}}; }

}  // namespace

// A rule that is made when it is first used; it may use itself.
template <typename Make>
Expr JsonGrammar::shared(std::optional<RuleId>& rule, const char* name, const Make& make) {
  if (!rule) {
    rule = b_.add_rule(name);
    b_.define(*rule, make());
  }
  return b_.call(*rule);
}

Expr JsonGrammar::space() {
  return shared(space_, "white space", [&] {
    const Expr indent = b_.repeat(b_.chars({{' ', ' '}, {'\t', '\t'}}), 0, kMaxIndent);
    return b_.alt({b_.empty(), b_.literal(" "), b_.seq({b_.literal("\n"), indent})});
  });
}

Expr JsonGrammar::comma() { return b_.seq({b_.literal(","), space()}); }

Expr JsonGrammar::char_in_string(const CharSet& set) {
  std::vector<std::string> escapes;
  for (char32_t c = 0; c <= '\\'; ++c) {
    if (!set.contains(c) || plain_chars().contains(c)) continue;
    const char byte = static_cast<char>(c);
    const std::string quoted = json_quoted({&byte, 1});
    escapes.push_back(quoted.substr(1, quoted.size() - 2));
  }
  std::vector<Expr> choices{b_.chars(set.also_in(plain_chars()))};
  if (!escapes.empty()) choices.push_back(b_.literals(std::move(escapes)));
  return b_.alt(std::move(choices));
}

Expr JsonGrammar::any_char() {
  const Expr hex = b_.chars(hex_digits());
  const Expr not_d = b_.chars(hex_digits().without({{'d', 'd'}, {'D', 'D'}}));
  const Expr d = b_.chars({{'d', 'd'}, {'D', 'D'}});
  const Expr high = b_.chars({{'8', '9'}, {'a', 'b'}, {'A', 'B'}});
  const Expr low = b_.chars({{'c', 'f'}, {'C', 'F'}});
  const Expr unit =
      b_.alt({b_.seq({not_d, hex, hex, hex}), b_.seq({d, b_.chars({{'0', '7'}}), hex, hex}),
              b_.seq({d, high, hex, hex, b_.literal("\\u"), d, low, hex, hex})});
  return b_.alt({b_.chars(plain_chars()),
                 b_.literals({"\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t"}),
                 b_.seq({b_.literal("\\u"), unit})});
}

Expr JsonGrammar::string() {
  return shared(string_, "string", [&] {
    return b_.seq({b_.literal("\""), b_.repeat(any_char(), 0, kUnbounded), b_.literal("\"")});
  });
}

Expr JsonGrammar::string(uint32_t min_chars, uint32_t max_chars) {
  if (min_chars == 0 && max_chars == kUnbounded) return string();
  return b_.seq({b_.literal("\""), b_.repeat(any_char(), min_chars, max_chars), b_.literal("\"")});
}

Expr JsonGrammar::integer() {
  return shared(integer_, "integer", [&] {
    const Expr more = b_.repeat(b_.chars({{'0', '9'}}), 0, kMaxWholeDigits - 1);
    return b_.seq({b_.optional(b_.literal("-")),
                   b_.alt({b_.literal("0"), b_.seq({b_.chars({{'1', '9'}}), more})})});
  });
}

Expr JsonGrammar::number() {
  return shared(number_, "number", [&] {
    const Expr digit = b_.chars({{'0', '9'}});
    const Expr fraction = b_.seq({b_.literal("."), b_.repeat(digit, 1, kMaxFractionDigits)});
    // 19 digits and e289 stay below the largest double.
    const Expr up = b_.seq({b_.optional(b_.literal("+")),
                            b_.alt({b_.repeat(digit, 1, 2), b_.seq({b_.literal("1"), digit, digit}),
                                    b_.seq({b_.literal("2"), b_.chars({{'0', '8'}}), digit})})});
    const Expr down = b_.seq({b_.literal("-"), b_.repeat(digit, 1, 3)});
    const Expr exponent = b_.seq({b_.chars({{'e', 'e'}, {'E', 'E'}}), b_.alt({up, down})});
    return b_.seq({integer(), b_.optional(fraction), b_.optional(exponent)});
  });
}

Expr JsonGrammar::value() {
  return shared(value_, "any value", [&] {
    return b_.alt({object(), array(), string(), number(), b_.literals({"true", "false", "null"})});
  });
}

Expr JsonGrammar::object() {
  return shared(object_, "any object", [&] {
    const Expr pair = b_.seq({string(), b_.literal(":"), space(), value()});
    const Expr more = b_.repeat(b_.seq({comma(), pair}), 0, kUnbounded);
    return b_.seq(
        {b_.literal("{"), space(), b_.optional(b_.seq({pair, more, space()})), b_.literal("}")});
  });
}

Expr JsonGrammar::array() {
  return shared(array_, "any array", [&] {
    const Expr more = b_.repeat(b_.seq({comma(), value()}), 0, kUnbounded);
    return b_.seq(
        {b_.literal("["), space(), b_.optional(b_.seq({value(), more, space()})), b_.literal("]")});
  });
}

Expr JsonGrammar::key(std::string_view name) {
  return b_.seq({b_.literal(json_quoted(name) + ":"), space()});
}

Expr JsonGrammar::constant(const JsonValue& value) {
  using Kind = JsonValue::Kind;
  switch (value.kind) {
    case Kind::kNull:
      return b_.literal("null");
    case Kind::kBoolean:
      return b_.literal(value.boolean ? "true" : "false");
    case Kind::kNumber:
      return b_.literal(value.text);
    case Kind::kString:
      return b_.literal(json_quoted(value.text));
    case Kind::kArray:
    case Kind::kObject:
      break;
  }
  const bool is_object = value.is(Kind::kObject);
  std::vector<Expr> parts{b_.literal(is_object ? "{" : "["), space()};
  for (size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) parts.push_back(comma());
    if (is_object) parts.push_back(key(value.keys[i]));
    parts.push_back(constant(value.items[i]));
  }
  if (!value.items.empty()) parts.push_back(space());
  parts.push_back(b_.literal(is_object ? "}" : "]"));
  return b_.seq(std::move(parts));
}

Expr JsonGrammar::free_chars() {
  return shared(free_, "characters",
                [&] { return b_.repeat(b_.chars(plain_chars()), 0, kUnbounded); });
}

// `names`, sorted, agree in their first `at` characters: all that can follow these but the names.
Expr JsonGrammar::except_below(std::span<const std::u32string> names, size_t at) {
  const bool is_name = !names.empty() && names.front().size() == at;
  if (is_name) names = names.subspan(1);
  std::vector<Expr> choices;
  if (!is_name) choices.push_back(b_.empty());
  CharSet others = plain_chars();
  for (size_t i = 0; i < names.size();) {
    const char32_t c = names[i][at];
    size_t end = i;
    while (end < names.size() && names[end][at] == c) ++end;
    others = others.without({{c, c}});
    choices.push_back(
        b_.seq({b_.chars({{c, c}}), except_below(names.subspan(i, end - i), at + 1)}));
    i = end;
  }
  choices.push_back(b_.seq({b_.chars(others), free_chars()}));
  return b_.alt(std::move(choices));
}

Expr JsonGrammar::key_except(std::vector<std::u32string> names) {
  // Written without escapes, a key can only be a name that needs none.
  std::erase_if(names, [](const std::u32string& name) {
    return std::any_of(name.begin(), name.end(),
                       [](char32_t c) { return !plain_chars().contains(c); });
  });
  std::sort(names.begin(), names.end());
  return b_.seq({b_.literal("\""), except_below(names, 0), b_.literal("\"")});
}

Result<std::shared_ptr<const Grammar>> json_grammar(bool any_value) {
  GrammarBuilder builder;
  JsonGrammar json(builder);
  const auto root = builder.add_rule("root");
  builder.define(root, any_value ? json.value() : json.object());
  return builder.build(root);
}

}  // namespace ponder
