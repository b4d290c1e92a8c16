// The objects of SchemaCompiler.
#include <fmt/format.h>

#include <algorithm>

#include "engine/grammar_machine.h"
#include "engine/regex_grammar.h"
#include "engine/schema_compiler.h"
#include "text/utf8.h"

namespace ponder {

namespace {

using Kind = JsonValue::Kind;
using Expr = GrammarBuilder::Expr;

constexpr size_t kMaxNameChars = 256;  // beside additionalProperties
constexpr uint64_t kMaxTails = 20000;  // rules of one object

bool is_false(const SchemaPart& part) {
  return part.schema->is(Kind::kBoolean) && !part.schema->boolean;
}

}  // namespace

Result<Expr> SchemaCompiler::object(const SchemaSet& leaves) {
  Object object;
  ASSIGN_OR_RETURN(object.min, source_.least(leaves, "minProperties"));
  ASSIGN_OR_RETURN(object.max, source_.most(leaves, "maxProperties"));
  if (object.min > object.max) return builder_.never();
  RETURN_IF_ERROR(list_properties(leaves, object));
  RETURN_IF_ERROR(find_extras(leaves, object));
  const uint64_t names = object.properties.size();
  // Of the extras, one is sure to be a new name; how many more are, a grammar cannot tell.
  if (object.min > names + (object.extras.any ? 1 : 0)) {
    if (!object.extras.any) return builder_.never();
    return source_.cannot(leaves.front().schema,
                          "\"minProperties\" larger than the number of named properties plus one");
  }
  const uint64_t counts =
      object.min <= 1 && object.max == kUnbounded ? 2 : std::min<uint64_t>(names, object.max) + 1;
  if ((names + 1) * counts > kMaxTails) {
    return source_.cannot(leaves.front().schema,
                          "so many properties together with \"minProperties\" or "
                          "\"maxProperties\"");
  }
  const Expr inside = tail(object, 0, 0);
  while (!object.open.empty()) {
    const auto [index, count] = object.open.back();
    object.open.pop_back();
    builder_.define(object.tails.at({index, count}), tail_body(object, index, count));
  }
  return builder_.seq({builder_.literal("{"), json_.space(), inside, builder_.literal("}")});
}

Status SchemaCompiler::list_properties(const SchemaSet& leaves, Object& out) {
  std::map<std::string_view, size_t> index;
  const auto add = [&](const std::string& name, bool required) {
    const auto [at, is_new] = index.try_emplace(name, out.properties.size());
    if (is_new) out.properties.push_back({name, {}, required, false});
    out.properties[at->second].required = out.properties[at->second].required || required;
  };
  for (const SchemaPart& part : leaves) {
    if (const JsonValue* properties = part.schema->find("properties")) {
      for (const std::string& name : properties->keys) add(name, false);
    }
  }
  for (const SchemaPart& part : leaves) {
    if (const JsonValue* required = part.schema->find("required")) {
      for (const JsonValue& name : required->items) add(name.text, true);
    }
  }
  for (Property& property : out.properties) {
    ASSIGN_OR_RETURN(property.value, source_.property(leaves, property.name));
    property.never = std::any_of(property.value.begin(), property.value.end(), is_false);
  }
  return {};
}

// Text of the schemas in `names`, as a string.
Result<bool> SchemaCompiler::is_name(const SchemaSet& names, const std::string& name) {
  ASSIGN_OR_RETURN(const SchemaLeaves all, source_.leaves(names));
  ASSIGN_OR_RETURN(const auto next, source_.choice(all.parts));
  if (next) return source_.cannot(next->branches, "a choice in \"propertyNames\"");
  if (all.never) return false;
  ASSIGN_OR_RETURN(const uint8_t types, source_.types(all.parts));
  const JsonValue value{.kind = Kind::kString, .text = name};
  ASSIGN_OR_RETURN(const auto values, source_.values(all.parts));
  if (values && std::none_of(values->begin(), values->end(),
                             [&](const JsonValue* v) { return json_equal(*v, value); })) {
    return false;
  }
  return fits(all.parts, value, types);
}

// Where schemas name properties, others come only if additionalProperties, patternProperties or
// propertyNames is there to speak of them.
Status SchemaCompiler::find_extras(const SchemaSet& leaves, Object& out) {
  SchemaSet names;
  const JsonValue* patterns = nullptr;
  bool spoken_of = std::none_of(leaves.begin(), leaves.end(), [](const SchemaPart& part) {
    return part.schema->find("properties") != nullptr;
  });
  bool closed = false;
  for (const SchemaPart& part : leaves) {
    const JsonValue* own_patterns = part.schema->find("patternProperties");
    if (own_patterns != nullptr && !own_patterns->items.empty()) {
      if (patterns != nullptr || own_patterns->items.size() > 1) {
        return source_.cannot(own_patterns, "more than one pattern in \"patternProperties\"");
      }
      patterns = own_patterns;
    }
    if (const JsonValue* own_names = part.schema->find("propertyNames")) {
      names.push_back({own_names});
    }
    const JsonValue* others = part.schema->find("additionalProperties");
    if (others == nullptr) continue;
    const bool refuses = is_false({others});
    spoken_of = spoken_of || !refuses;
    if (own_patterns != nullptr && !own_patterns->items.empty()) continue;  // for other names
    closed = closed || refuses;
    if (!refuses) out.extras.value.push_back({others});
  }
  spoken_of = spoken_of || patterns != nullptr || !names.empty();
  if (!names.empty()) {
    for (Property& property : out.properties) {
      ASSIGN_OR_RETURN(const bool good, is_name(names, property.name));
      property.never = property.never || !good;
    }
  }
  if (closed || !spoken_of) return {};
  if (patterns != nullptr) {
    if (!names.empty()) {
      return source_.cannot(patterns, "\"patternProperties\" together with \"propertyNames\"");
    }
    return pattern_extras(*patterns, out);
  }
  if (!names.empty()) return named_extras(leaves, names, out);
  std::vector<std::u32string> taken;
  for (const Property& property : out.properties) {
    std::u32string chars;
    for (size_t at = 0; at < property.name.size();) {
      const Utf8Char c = utf8_at(property.name, at);
      chars += c.code;
      at += c.size;
    }
    if (chars.size() > kMaxNameChars) {
      return source_.cannot(leaves.front().schema,
                            fmt::format("a property's name of more than {} characters beside "
                                        "\"additionalProperties\"",
                                        kMaxNameChars));
    }
    taken.push_back(std::move(chars));
  }
  out.extras.any = true;
  out.extras.key = taken.empty() ? json_.string() : json_.key_except(std::move(taken));
  return {};
}

// Names that match the one pattern; others are left out, whatever additionalProperties says.
Status SchemaCompiler::pattern_extras(const JsonValue& patterns, Object& out) {
  const std::string& pattern = patterns.keys[0];
  const JsonValue* place = &patterns.items[0];
  for (const Property& property : out.properties) {
    ASSIGN_OR_RETURN(const bool match, source_.matches(pattern, property.name, place));
    if (!match) continue;
    return source_.cannot(place, "a \"patternProperties\" pattern that a named property matches");
  }
  const Result<RegexTree> parsed = parse_regex(pattern);
  const Result<RegexTree> tree = parsed.ok() ? without_anchors(*parsed, true) : parsed.status();
  if (!tree.ok()) return source_.cannot(place, tree.status().message());
  out.extras.any = true;
  out.extras.value.push_back({place});
  out.extras.key = builder_.seq(
      {builder_.literal("\""), regex_expr(builder_, *tree, &json_), builder_.literal("\"")});
  return {};
}

Status SchemaCompiler::named_extras(const SchemaSet& leaves, const SchemaSet& names, Object& out) {
  ASSIGN_OR_RETURN(const SchemaLeaves all, source_.leaves(names));
  if (all.never) return {};
  ASSIGN_OR_RETURN(const auto values, source_.values(all.parts));
  if (values) {  // a list of names: as if they were properties
    for (const JsonValue* value : *values) {
      if (!value->is(Kind::kString)) continue;
      ASSIGN_OR_RETURN(const bool good, is_name(names, value->text));
      const bool known =
          std::any_of(out.properties.begin(), out.properties.end(),
                      [&](const Property& property) { return property.name == value->text; });
      if (!good || known) continue;
      ASSIGN_OR_RETURN(SchemaSet set, source_.property(leaves, value->text));
      const bool never = std::any_of(set.begin(), set.end(), is_false);
      out.properties.push_back({value->text, std::move(set), false, never});
    }
    return {};
  }
  if (!out.properties.empty()) {
    return source_.cannot(names.front().schema,
                          "\"propertyNames\" together with \"properties\" or \"required\" and "
                          "additional properties");
  }
  ASSIGN_OR_RETURN(const auto next, source_.choice(all.parts));
  if (next) return source_.cannot(next->branches, "a choice in \"propertyNames\"");
  ASSIGN_OR_RETURN(const uint8_t types, source_.types(all.parts));
  if ((types & json_type::kString) == 0) return {};
  ASSIGN_OR_RETURN(out.extras.key, string(all.parts, builder_, json_));
  out.extras.any = true;
  return {};
}

// What may follow when the first `index` properties are decided and `count` members are written.
Expr SchemaCompiler::tail(Object& object, size_t index, uint32_t count) {
  // Beyond these, counts make no difference.
  if (object.max == kUnbounded) count = std::min(count, std::max(object.min, 1u));
  const auto [at, is_new] = object.tails.try_emplace({index, count}, 0);
  if (is_new) {
    at->second = builder_.add_rule("members");
    object.open.emplace_back(index, count);
  }
  return builder_.call(at->second);
}

Expr SchemaCompiler::tail_body(Object& object, size_t index, uint32_t count) {
  if (index == object.properties.size()) return tail_end(object, count);
  const Property& property = object.properties[index];
  std::vector<Expr> choices;
  if (!property.never && count < object.max) {
    std::vector<Expr> parts{json_.key(property.name), value(property.value),
                            tail(object, index + 1, count + 1)};
    if (count > 0) parts.insert(parts.begin(), json_.comma());
    choices.push_back(builder_.seq(std::move(parts)));
  }
  if (!property.required) choices.push_back(tail(object, index + 1, count));
  return builder_.alt(std::move(choices));
}

Expr SchemaCompiler::tail_end(const Object& object, uint32_t count) {
  const uint32_t need = object.min > count ? object.min - count : 0;
  const uint32_t room = object.max == kUnbounded ? kUnbounded : object.max - count;
  std::vector<Expr> choices;
  if (need == 0) choices.push_back(count > 0 ? json_.space() : builder_.empty());
  if (object.extras.any && need <= 1 && room > 0) {
    const Expr pair = builder_.seq(
        {object.extras.key, builder_.literal(":"), json_.space(), value(object.extras.value)});
    const Expr more = builder_.seq({json_.comma(), pair});
    const Expr others = builder_.repeat(more, 0, room == kUnbounded ? kUnbounded : room - 1);
    choices.push_back(builder_.seq({count > 0 ? more : pair, others, json_.space()}));
  }
  return builder_.alt(std::move(choices));
}

}  // namespace ponder
