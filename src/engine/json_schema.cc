#include "engine/json_schema.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/grammar_machine.h"
#include "engine/json_value.h"
#include "engine/regex_grammar.h"
#include "engine/schema_compiler.h"
#include "engine/string_formats.h"

namespace ponder {

namespace {

using Kind = JsonValue::Kind;
using Expr = GrammarBuilder::Expr;

constexpr size_t kMaxExclusive = 100;  // branches of a oneOf: each is compared with each
constexpr size_t kMaxPrefix = 1000;    // elements of an array with schemas of their own

uint8_t type_of(const JsonValue& value) {
  switch (value.kind) {
    case Kind::kNull:
      return json_type::kNull;
    case Kind::kBoolean:
      return json_type::kBoolean;
    case Kind::kNumber: {
      const Result<Decimal> decimal = parse_decimal(value.text);
      return decimal.ok() && decimal->is_integer() ? json_type::kInteger : json_type::kFraction;
    }
    case Kind::kString:
      return json_type::kString;
    case Kind::kArray:
      return json_type::kArray;
    case Kind::kObject:
      break;
  }
  return json_type::kObject;
}

}  // namespace

Result<std::shared_ptr<const Grammar>> compile_json_schema(std::string_view schema) {
  const Result<JsonValue> root = parse_json_value(schema);
  if (!root.ok()) return root.status().with_prefix("schema");
  GrammarBuilder builder;
  ASSIGN_OR_RETURN(const Expr value, SchemaCompiler(*root, builder).run());
  const auto start = builder.add_rule("#");
  builder.define(start, value);
  auto grammar = builder.build(start);
  if (!grammar.ok()) return grammar.status().with_prefix("schema");
  return grammar;
}

Result<Expr> SchemaCompiler::run(std::span<const JsonValue* const> others) {
  SchemaSet set{{&source_.root()}};
  for (const JsonValue* other : others) set.push_back({other});
  const Expr root = value(set);
  while (!open_.empty()) {
    const SchemaSet& next = *open_.front();
    open_.pop_front();
    ASSIGN_OR_RETURN(const Expr made, body(next));
    builder_.define(rules_.at(next), made);
    RETURN_IF_ERROR(builder_.status().with_prefix("schema"));
  }
  return root;
}

Expr SchemaCompiler::value(const SchemaSet& set) {
  const auto [at, is_new] = rules_.try_emplace(set, 0);
  if (is_new) {
    at->second = builder_.add_rule(set.empty() ? "any value" : source_.at(set.front().schema));
    open_.push_back(&at->first);
  }
  return builder_.call(at->second);
}

Result<Expr> SchemaCompiler::body(const SchemaSet& set) {
  ASSIGN_OR_RETURN(const SchemaLeaves all, source_.leaves(set));
  if (all.never) return builder_.never();
  const SchemaSet& leaves = all.parts;
  ASSIGN_OR_RETURN(const auto next, source_.choice(leaves));
  if (next) return choose(leaves, *next);
  ASSIGN_OR_RETURN(uint8_t types, source_.types(leaves));
  ASSIGN_OR_RETURN(const auto values, source_.values(leaves));
  if (values) return listed(leaves, *values, types);
  const uint8_t meant = SchemaSource::types_spoken_of(leaves);
  if (types == json_type::kAll && meant != 0) types = meant;
  if (types == json_type::kAll) return json_.value();
  return typed(leaves, types);
}

Result<Expr> SchemaCompiler::choose(const SchemaSet& leaves, const SchemaChoice& choice) {
  if (choice.keyword == SchemaPart::kOneOf) RETURN_IF_ERROR(check_exclusive(leaves, choice));
  std::vector<Expr> branches;
  for (size_t i = 0; i < choice.branches->items.size(); ++i) {
    branches.push_back(value(SchemaSource::chosen(leaves, choice, i)));
  }
  return builder_.alt(std::move(branches));
}

// oneOf is anyOf where no value satisfies two of its branches.
Status SchemaCompiler::check_exclusive(const SchemaSet& leaves, const SchemaChoice& choice) {
  const size_t count = choice.branches->items.size();
  if (count > kMaxExclusive) {
    return source_.cannot(choice.branches,
                          fmt::format("\"oneOf\" with more than {} branches", kMaxExclusive));
  }
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < i; ++j) {
      SchemaSet both = SchemaSource::chosen(leaves, choice, i);
      both.push_back({&choice.branches->items[j]});
      ASSIGN_OR_RETURN(const bool apart, source_.surely_empty(both));
      if (apart) continue;
      return source_.cannot(
          choice.branches,
          fmt::format(
              "\"oneOf\": branches {} and {} are not seen to exclude one another; give them "
              "different types or a required property with different const values, or use "
              "anyOf",
              j, i));
    }
  }
  return {};
}

Result<Expr> SchemaCompiler::listed(const SchemaSet& leaves,
                                    const std::vector<const JsonValue*>& values, uint8_t types) {
  std::vector<std::string> texts;  // of scalars
  std::vector<Expr> choices;
  for (const JsonValue* value : values) {
    ASSIGN_OR_RETURN(const bool good, fits(leaves, *value, types));
    if (!good) continue;
    if (value->is(Kind::kArray) || value->is(Kind::kObject)) {
      choices.push_back(json_.constant(*value));
    } else if (value->is(Kind::kString)) {
      texts.push_back(json_quoted(value->text));
    } else {
      texts.push_back(value->is(Kind::kNumber) ? value->text
                      : value->is(Kind::kNull) ? "null"
                      : value->boolean         ? "true"
                                               : "false");
    }
  }
  if (!texts.empty()) choices.push_back(builder_.literals(std::move(texts)));
  return builder_.alt(std::move(choices));
}

// Whether a value of an enum satisfies the keywords that stand beside it.
Result<bool> SchemaCompiler::fits(const SchemaSet& leaves, const JsonValue& value, uint8_t types) {
  const uint8_t type = type_of(value);
  if ((types & type) == 0) return false;
  const uint8_t spoken_of = SchemaSource::types_spoken_of(leaves);
  if ((spoken_of & type) == 0) return true;
  if (value.is(Kind::kNumber)) {
    bool only_integers = false;
    ASSIGN_OR_RETURN(const NumberBounds bounds, source_.number_bounds(leaves, &only_integers));
    ASSIGN_OR_RETURN(const Decimal decimal, parse_decimal(value.text));
    return bounds.contains(decimal) && (!only_integers || decimal.is_integer());
  }
  if (value.is(Kind::kString)) {
    GrammarBuilder builder;
    JsonGrammar json(builder);
    ASSIGN_OR_RETURN(const Expr expr, string(leaves, builder, json));
    const RuleId root = builder.add_rule("string");
    builder.define(root, expr);
    const auto grammar = builder.build(root);
    return grammar.ok() && grammar_matches(**grammar, json_quoted(value.text));
  }
  return source_.cannot(&value,
                        "a list or object in \"enum\" or \"const\" beside keywords that "
                        "constrain lists or objects is not supported");
}

Result<Expr> SchemaCompiler::typed(const SchemaSet& leaves, uint8_t types) {
  std::vector<Expr> choices;
  std::vector<std::string> words;
  if ((types & json_type::kNull) != 0) words.push_back("null");
  if ((types & json_type::kBoolean) != 0) words.insert(words.end(), {"false", "true"});
  if (!words.empty()) choices.push_back(builder_.literals(std::move(words)));
  if ((types & json_type::kInteger) != 0) {
    ASSIGN_OR_RETURN(const Expr expr, number(leaves, types));
    choices.push_back(expr);
  }
  if ((types & json_type::kString) != 0) {
    ASSIGN_OR_RETURN(const Expr expr, string(leaves, builder_, json_));
    choices.push_back(expr);
  }
  if ((types & json_type::kArray) != 0) {
    ASSIGN_OR_RETURN(const Expr expr, array(leaves));
    choices.push_back(expr);
  }
  if ((types & json_type::kObject) != 0) {
    ASSIGN_OR_RETURN(const Expr expr, object(leaves));
    choices.push_back(expr);
  }
  return builder_.alt(std::move(choices));
}

Result<Expr> SchemaCompiler::number(const SchemaSet& leaves, uint8_t types) {
  bool only_integers = false;
  ASSIGN_OR_RETURN(const NumberBounds bounds, source_.number_bounds(leaves, &only_integers));
  only_integers = only_integers || (types & json_type::kFraction) == 0;
  if (!bounds.any()) return only_integers ? json_.integer() : json_.number();
  auto within =
      only_integers ? integers_within(builder_, bounds) : numbers_within(builder_, bounds);
  if (!within.ok()) return source_.cannot(leaves.front().schema, within.status().message());
  return within;
}

Result<Expr> SchemaCompiler::string(const SchemaSet& leaves, GrammarBuilder& builder,
                                    JsonGrammar& json) {
  ASSIGN_OR_RETURN(const uint32_t min, source_.least(leaves, "minLength"));
  ASSIGN_OR_RETURN(const uint32_t max, source_.most(leaves, "maxLength"));
  if (min > max) return builder.never();
  const JsonValue* expression = nullptr;  // a pattern or format
  bool is_format = false;
  for (const SchemaPart& part : leaves) {
    for (const char* keyword : {"pattern", "format"}) {
      const JsonValue* value = part.schema->find(keyword);
      if (value == nullptr) continue;
      if (!value->is(Kind::kString)) {
        return source_.wrong(value, fmt::format("\"{}\": expected a string", keyword));
      }
      const bool format = keyword == std::string_view("format");
      if (format && format_regex(value->text).empty()) continue;  // one for numbers
      if (expression != nullptr && (format != is_format || value->text != expression->text)) {
        return source_.cannot(value, "a second \"pattern\" or \"format\" for one value");
      }
      expression = value;
      is_format = format;
    }
  }
  if (expression == nullptr) return json.string(min, max);
  const auto compile = [&]() -> Result<Expr> {
    const std::string_view text =
        is_format ? format_regex(expression->text) : std::string_view(expression->text);
    ASSIGN_OR_RETURN(const RegexTree parsed, parse_regex(text));
    ASSIGN_OR_RETURN(RegexTree tree, without_anchors(parsed, !is_format));
    if (min != 0 || max != kUnbounded) {
      ASSIGN_OR_RETURN(tree, with_length(tree, min, max));
    }
    return builder.seq(
        {builder.literal("\""), regex_expr(builder, tree, &json), builder.literal("\"")});
  };
  auto made = compile();
  if (made.ok()) return made;
  return made.status().code() == Code::kUnsupported
             ? source_.cannot(expression, made.status().message())
             : source_.wrong(expression, made.status().message());
}

Result<Expr> SchemaCompiler::array(const SchemaSet& leaves) {
  ASSIGN_OR_RETURN(const uint32_t min, source_.least(leaves, "minItems"));
  ASSIGN_OR_RETURN(uint32_t max, source_.most(leaves, "maxItems"));
  size_t prefix = 0;
  for (const SchemaPart& part : leaves) {
    const JsonValue* list = SchemaSource::prefix_items(*part.schema);
    if (list == nullptr) continue;
    if (list->items.size() > kMaxPrefix) {
      return source_.cannot(list, fmt::format("more than {} \"prefixItems\"", kMaxPrefix));
    }
    prefix = std::max(prefix, list->items.size());
  }
  prefix = std::min<size_t>(prefix, max);
  if (min > max) return builder_.never();
  // What comes after element i, from the last of the prefix to the first; "[" stands before.
  ASSIGN_OR_RETURN(const SchemaSet rest, source_.element(leaves, prefix));
  const bool no_rest = std::any_of(rest.begin(), rest.end(), [](const SchemaPart& part) {
    return part.schema->is(Kind::kBoolean) && !part.schema->boolean;
  });
  const auto first = static_cast<uint32_t>(prefix);
  Expr after = builder_.never();
  const uint32_t more = max == kUnbounded ? kUnbounded : max - first;
  const uint32_t least = min > first ? min - first : 0;
  if (no_rest || more == 0) {
    if (least == 0) after = builder_.empty();
  } else if (prefix > 0) {
    after = builder_.repeat(builder_.seq({json_.comma(), value(rest)}), least, more);
  } else {
    const Expr item = value(rest);
    const Expr others =
        builder_.repeat(builder_.seq({json_.comma(), item}), least > 0 ? least - 1 : 0,
                        more == kUnbounded ? kUnbounded : more - 1);
    after = builder_.seq({item, others, json_.space()});
    if (least == 0) after = builder_.optional(after);
  }
  if (prefix > 0) after = builder_.seq({after, json_.space()});
  for (size_t i = prefix; i-- > 0;) {
    ASSIGN_OR_RETURN(const SchemaSet element, source_.element(leaves, i));
    std::vector<Expr> parts{value(element), after};
    if (i > 0) parts.insert(parts.begin(), json_.comma());
    const Expr with = builder_.seq(std::move(parts));
    // A rule for each, so that the expression does not nest deeper with every element.
    const RuleId rule = builder_.add_rule("elements");
    const Expr without = i > 0 ? json_.space() : builder_.empty();
    builder_.define(rule, i >= min ? builder_.alt({with, without}) : with);
    after = builder_.call(rule);
  }
  return builder_.seq({builder_.literal("["), json_.space(), after, builder_.literal("]")});
}

}  // namespace ponder
