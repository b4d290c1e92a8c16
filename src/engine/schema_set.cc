#include "engine/schema_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/grammar_machine.h"
#include "engine/regex_grammar.h"
#include "engine/schema_keywords.h"
#include "engine/string_formats.h"

namespace ponder {

namespace {

using Kind = JsonValue::Kind;

constexpr size_t kMaxRefs = 200;               // one after another
constexpr size_t kMaxSteps = size_t{1} << 20;  // schemas looked at, in all
constexpr size_t kMaxLeaves = 1000;            // in one set
constexpr int kMaxProof = 6;                   // levels into which surely_empty() looks

// The last step of the pointer to `child`.
std::string step_to(const JsonValue& parent, const JsonValue* child) {
  const auto index = static_cast<size_t>(child - parent.items.data());
  if (!parent.is(Kind::kObject)) return std::to_string(index);
  std::string out;
  for (const char c : parent.keys[index]) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
  }
  return out;
}

// One step of a pointer without its "~0", "~1" and percent signs.
std::string unescaped(std::string_view step) {
  std::string out;
  const auto hex = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  for (size_t i = 0; i < step.size(); ++i) {
    char c = step[i];
    if (c == '%' && i + 2 < step.size() && hex(step[i + 1]) >= 0 && hex(step[i + 2]) >= 0) {
      c = static_cast<char>(hex(step[i + 1]) * 16 + hex(step[i + 2]));
      i += 2;
    } else if (c == '~' && i + 1 < step.size()) {
      c = step[++i] == '1' ? '/' : '~';
    }
    out += c;
  }
  return out;
}

uint8_t type_named(std::string_view name) {
  using namespace json_type;
  if (name == "null") return kNull;
  if (name == "boolean") return kBoolean;
  if (name == "integer") return kInteger;
  if (name == "number") return kNumber;
  if (name == "string") return kString;
  if (name == "array") return kArray;
  if (name == "object") return kObject;
  return 0;
}

}  // namespace

SchemaSource::SchemaSource(const JsonValue& root) : root_(root) {
  std::vector<const JsonValue*> open{&root};
  while (!open.empty()) {
    const JsonValue* value = open.back();
    open.pop_back();
    for (const JsonValue& item : value->items) {
      parents_.emplace(&item, value);
      open.push_back(&item);
    }
  }
}

std::string SchemaSource::at(const JsonValue* place) const {
  std::vector<std::string> steps;
  for (auto parent = parents_.find(place); parent != parents_.end();
       parent = parents_.find(place)) {
    steps.push_back(step_to(*parent->second, place));
    place = parent->second;
  }
  std::string path = "at #";
  for (size_t i = steps.size(); i-- > 0 && path.size() < 200;) path += '/' + steps[i].substr(0, 80);
  return path;
}

Status SchemaSource::wrong(const JsonValue* place, std::string_view what) const {
  return invalid(fmt::format("schema: {}, {}", what, at(place)));
}

Status SchemaSource::cannot(const JsonValue* place, std::string_view what) const {
  return unsupported(fmt::format("schema: {}, {}", what, at(place)));
}

Status SchemaSource::step(size_t count) {
  steps_ += count;
  if (steps_ <= kMaxSteps) return {};
  return exhausted(fmt::format("schema: it takes more than {} steps to work out", kMaxSteps));
}

Status SchemaSource::check_shape(const JsonValue& value, const std::string& key) const {
  const auto is_string = [](const JsonValue& item) { return item.is(Kind::kString); };
  switch (schema_keyword(key).shape) {
    case SchemaShape::kAny:
      break;
    case SchemaShape::kObject:
      if (!value.is(Kind::kObject))
        return wrong(&value, fmt::format("\"{}\": expected an object", key));
      break;
    case SchemaShape::kList:
      if (!value.is(Kind::kArray) || value.items.empty()) {
        return wrong(&value, fmt::format("\"{}\": expected a list with at least one entry", key));
      }
      break;
    case SchemaShape::kNames:
      if (!value.is(Kind::kArray) ||
          !std::all_of(value.items.begin(), value.items.end(), is_string)) {
        return wrong(&value, fmt::format("\"{}\": expected a list of names", key));
      }
      break;
  }
  return {};
}

Status SchemaSource::check_keywords(const JsonValue& schema) {
  if (!checked_.insert(&schema).second) return {};
  for (size_t i = 0; i < schema.keys.size(); ++i) {
    const std::string& key = schema.keys[i];
    const JsonValue* value = &schema.items[i];
    const std::string shown = json_quoted(std::string_view(key).substr(0, 80));
    switch (schema_keyword(key).kind) {
      case SchemaKeyword::kUsed:
        break;
      case SchemaKeyword::kAnnotation:
        if (key == "$id" && &schema != &root_) {
          return cannot(value, "\"$id\" is supported at the top only");
        }
        break;
      case SchemaKeyword::kRefused:
        return cannot(value, fmt::format("the keyword {} is not supported", shown));
      case SchemaKeyword::kUnknown:
        return cannot(value, fmt::format("the keyword {} is unknown", shown));
    }
    RETURN_IF_ERROR(check_shape(*value, key));
    if (key == "uniqueItems" && !(value->is(Kind::kBoolean) && !value->boolean)) {
      return cannot(value, "\"uniqueItems\" is not supported");
    }
    if (key == "format") {
      if (!value->is(Kind::kString)) return wrong(value, "\"format\": expected a string");
      static constexpr std::string_view kNumbers[] = {"float", "double", "int32", "int64"};
      const bool known =
          std::find(std::begin(kNumbers), std::end(kNumbers), value->text) != std::end(kNumbers) ||
          !format_regex(value->text).empty();
      if (!known) {
        return cannot(value, fmt::format("the format {} is not supported",
                                         json_quoted(std::string_view(value->text).substr(0, 80))));
      }
    }
  }
  return {};
}

Result<const JsonValue*> SchemaSource::resolve(const JsonValue& ref) const {
  if (!ref.is(Kind::kString)) return wrong(&ref, "\"$ref\": expected a string");
  std::string_view path = ref.text;
  if (path != "#" && !path.starts_with("#/")) {
    return cannot(&ref, fmt::format("\"$ref\" to {}: only \"#\" and \"#/...\" are supported",
                                    json_quoted(path.substr(0, 80))));
  }
  const JsonValue* place = &root_;
  path.remove_prefix(1);
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view step = path.substr(0, path.find('/'));
    path.remove_prefix(step.size());
    const std::string name = unescaped(step);
    const JsonValue* next = nullptr;
    if (place->is(Kind::kObject)) next = place->find(name);
    if (place->is(Kind::kArray) && !name.empty() && name.size() < 7 &&
        name.find_first_not_of("0123456789") == std::string::npos) {
      const auto index = static_cast<size_t>(std::stoul(name));
      if (index < place->items.size()) next = &place->items[index];
    }
    if (next == nullptr) return wrong(&ref, "\"$ref\" to a place that is not there");
    place = next;
  }
  return place;
}

Result<SchemaLeaves> SchemaSource::leaves(const SchemaSet& set) {
  SchemaLeaves out;
  std::vector<const JsonValue*> path;
  for (const SchemaPart& part : set) RETURN_IF_ERROR(visit(part, path, out));
  return out;
}

Status SchemaSource::visit(const SchemaPart& part, std::vector<const JsonValue*>& path,
                           SchemaLeaves& out) {
  const JsonValue& schema = *part.schema;
  RETURN_IF_ERROR(step(1));
  if (schema.is(Kind::kBoolean)) {
    out.never = out.never || !schema.boolean;
    return {};
  }
  if (!schema.is(Kind::kObject)) return wrong(&schema, "expected a schema: an object or boolean");
  RETURN_IF_ERROR(check_keywords(schema));
  if (std::find(path.begin(), path.end(), &schema) != path.end()) {
    return wrong(&schema, "\"$ref\" leads back here without anything between");
  }
  if (path.size() > kMaxRefs) {
    return exhausted(fmt::format("schema: more than {} references one after another, {}", kMaxRefs,
                                 at(&schema)));
  }
  path.push_back(&schema);
  if ((part.done & SchemaPart::kRefs) == 0) RETURN_IF_ERROR(visit_parts(schema, path, out));
  path.pop_back();
  const bool says_something =
      std::any_of(schema.keys.begin(), schema.keys.end(), [](const std::string& key) {
        return schema_keyword(key).kind == SchemaKeyword::kUsed && key != "$ref" && key != "allOf";
      });
  const SchemaPart leaf{&schema, static_cast<uint8_t>(part.done | SchemaPart::kRefs)};
  if (says_something && std::find(out.parts.begin(), out.parts.end(), leaf) == out.parts.end()) {
    if (out.parts.size() >= kMaxLeaves) {
      return exhausted(fmt::format("schema: more than {} schemas apply to one value, {}",
                                   kMaxLeaves, at(&schema)));
    }
    out.parts.push_back(leaf);
  }
  return {};
}

Status SchemaSource::visit_parts(const JsonValue& schema, std::vector<const JsonValue*>& path,
                                 SchemaLeaves& out) {
  if (const JsonValue* ref = schema.find("$ref")) {
    ASSIGN_OR_RETURN(const JsonValue* target, resolve(*ref));
    RETURN_IF_ERROR(visit({target}, path, out));
  }
  if (const JsonValue* all = schema.find("allOf")) {
    for (const JsonValue& item : all->items) RETURN_IF_ERROR(visit({&item}, path, out));
  }
  return {};
}

Result<std::optional<SchemaChoice>> SchemaSource::choice(const SchemaSet& leaves) const {
  for (size_t i = 0; i < leaves.size(); ++i) {
    for (const auto keyword : {SchemaPart::kAnyOf, SchemaPart::kOneOf}) {
      if ((leaves[i].done & keyword) != 0) continue;
      const char* name = keyword == SchemaPart::kAnyOf ? "anyOf" : "oneOf";
      const JsonValue* branches = leaves[i].schema->find(name);
      if (branches == nullptr) continue;
      return std::optional<SchemaChoice>({i, keyword, branches});
    }
  }
  return std::optional<SchemaChoice>();
}

SchemaSet SchemaSource::chosen(const SchemaSet& leaves, const SchemaChoice& choice, size_t index) {
  SchemaSet out = leaves;
  out[choice.part].done = static_cast<uint8_t>(out[choice.part].done | choice.keyword);
  out.push_back({&choice.branches->items[index]});
  return out;
}

Result<uint8_t> SchemaSource::types(const SchemaSet& leaves) const {
  uint8_t all = json_type::kAll;
  for (const SchemaPart& part : leaves) {
    const JsonValue* type = part.schema->find("type");
    if (type == nullptr) continue;
    uint8_t here = 0;
    const auto add = [&](const JsonValue& name) {
      const uint8_t bits = name.is(Kind::kString) ? type_named(name.text) : uint8_t{0};
      here |= bits;
      return bits != 0;
    };
    bool good = type->is(Kind::kArray) ? !type->items.empty() : add(*type);
    if (type->is(Kind::kArray)) {
      for (const JsonValue& name : type->items) good = add(name) && good;
    }
    if (!good) {
      return wrong(type,
                   "\"type\": expected null, boolean, integer, number, string, array or object, or "
                   "a list of these");
    }
    all &= here;
  }
  return all;
}

uint8_t SchemaSource::types_spoken_of(const SchemaSet& leaves) {
  uint8_t out = 0;
  for (const SchemaPart& part : leaves) {
    for (size_t i = 0; i < part.schema->keys.size(); ++i) {
      const std::string& key = part.schema->keys[i];
      out |= schema_keyword(key).types;
      if (key == "format") {
        const bool text = !format_regex(part.schema->items[i].text).empty();
        out |= text ? json_type::kString : json_type::kNumber;
      }
    }
  }
  return out;
}

Result<std::optional<std::vector<const JsonValue*>>> SchemaSource::values(
    const SchemaSet& leaves) const {
  std::optional<std::vector<const JsonValue*>> out;
  const auto meet = [&](std::vector<const JsonValue*> values) {
    if (out) {
      std::erase_if(values, [&](const JsonValue* value) {
        return std::none_of(out->begin(), out->end(),
                            [&](const JsonValue* other) { return json_equal(*value, *other); });
      });
    }
    out = std::move(values);
  };
  for (const SchemaPart& part : leaves) {
    if (const JsonValue* value = part.schema->find("const")) meet({value});
    if (const JsonValue* list = part.schema->find("enum")) {
      std::vector<const JsonValue*> values;
      for (const JsonValue& item : list->items) values.push_back(&item);
      meet(std::move(values));
    }
  }
  return out;
}

Result<NumberBounds> SchemaSource::number_bounds(const SchemaSet& leaves,
                                                 bool* only_integers) const {
  NumberBounds out;
  *only_integers = false;
  static constexpr struct {
    std::string_view keyword;
    bool is_min, open;
  } kBounds[] = {{"minimum", true, false},
                 {"maximum", false, false},
                 {"exclusiveMinimum", true, true},
                 {"exclusiveMaximum", false, true}};
  for (const SchemaPart& part : leaves) {
    for (const auto& bound : kBounds) {
      const JsonValue* value = part.schema->find(bound.keyword);
      if (value == nullptr) continue;
      if (!value->is(Kind::kNumber)) {
        return wrong(value, fmt::format("\"{}\": expected a number", bound.keyword));
      }
      ASSIGN_OR_RETURN(const Decimal decimal, parse_decimal(value->text));
      bound.is_min ? out.add_min(decimal, bound.open) : out.add_max(decimal, bound.open);
    }
    if (const JsonValue* step = part.schema->find("multipleOf")) {
      const Result<Decimal> decimal =
          step->is(Kind::kNumber) ? parse_decimal(step->text) : Decimal{};
      if (!decimal.ok() || *decimal != Decimal{false, "1", 1}) {
        return cannot(step, "\"multipleOf\" other than 1 is not supported");
      }
      *only_integers = true;
    }
    if (const JsonValue* format = part.schema->find("format")) {
      const bool is_32 = format->text == "int32";
      if (!is_32 && format->text != "int64") continue;
      const std::string digits = is_32 ? "2147483648" : "9223372036854775808";
      const auto point = static_cast<long>(digits.size());
      out.add_min({true, digits, point}, false);
      out.add_max({false, digits, point}, true);
      *only_integers = true;
    }
  }
  return out;
}

Result<uint32_t> SchemaSource::count(const JsonValue* value, std::string_view keyword) const {
  const Result<Decimal> decimal = value->is(Kind::kNumber) ? parse_decimal(value->text) : Decimal{};
  const bool good = value->is(Kind::kNumber) && decimal.ok() && !decimal->negative &&
                    decimal->is_integer() && decimal->point <= 9;
  if (!good) {
    return wrong(value, fmt::format("\"{}\": expected a whole number below 1000000000", keyword));
  }
  std::string digits = decimal->digits;
  digits.resize(static_cast<size_t>(decimal->point), '0');
  return digits.empty() ? 0u : static_cast<uint32_t>(std::stoul(digits));
}

Result<uint32_t> SchemaSource::least(const SchemaSet& leaves, std::string_view keyword) const {
  uint32_t out = 0;
  for (const SchemaPart& part : leaves) {
    const JsonValue* value = part.schema->find(keyword);
    if (value == nullptr) continue;
    ASSIGN_OR_RETURN(const uint32_t here, count(value, keyword));
    out = std::max(out, here);
  }
  return out;
}

Result<uint32_t> SchemaSource::most(const SchemaSet& leaves, std::string_view keyword) const {
  uint32_t out = kUnbounded;
  for (const SchemaPart& part : leaves) {
    const JsonValue* value = part.schema->find(keyword);
    if (value == nullptr) continue;
    ASSIGN_OR_RETURN(const uint32_t here, count(value, keyword));
    out = std::min(out, here);
  }
  return out;
}

Result<bool> SchemaSource::matches(const std::string& pattern, std::string_view text,
                                   const JsonValue* place) {
  const auto found = patterns_.find(pattern);
  if (found != patterns_.end()) return grammar_matches(*found->second, text);
  const auto compile = [&]() -> Result<std::shared_ptr<const Grammar>> {
    ASSIGN_OR_RETURN(const RegexTree parsed, parse_regex(pattern));
    ASSIGN_OR_RETURN(const RegexTree tree, without_anchors(parsed, true));
    GrammarBuilder builder;
    const auto root = builder.add_rule("pattern");
    builder.define(root, regex_expr(builder, tree));
    return builder.build(root);
  };
  auto grammar = compile();
  if (!grammar.ok()) {
    const Status& status = grammar.status();
    return Status(status.code(), fmt::format("schema: {}, {}", status.message(), at(place)));
  }
  return grammar_matches(*patterns_.emplace(pattern, *grammar).first->second, text);
}

Result<SchemaSet> SchemaSource::property(const SchemaSet& leaves, std::string_view name) {
  SchemaSet out;
  for (const SchemaPart& part : leaves) {
    bool named = false;
    const JsonValue* properties = part.schema->find("properties");
    RETURN_IF_ERROR(step(1 + (properties != nullptr ? properties->keys.size() / 256 : 0)));
    if (const JsonValue* own = properties != nullptr ? properties->find(name) : nullptr) {
      out.push_back({own});
      named = true;
    }
    if (const JsonValue* patterns = part.schema->find("patternProperties")) {
      for (size_t i = 0; i < patterns->keys.size(); ++i) {
        RETURN_IF_ERROR(step(1 + name.size() / 16));
        ASSIGN_OR_RETURN(const bool match, matches(patterns->keys[i], name, &patterns->items[i]));
        if (!match) continue;
        out.push_back({&patterns->items[i]});
        named = true;
      }
    }
    const JsonValue* others = part.schema->find("additionalProperties");
    if (!named && others != nullptr) out.push_back({others});
  }
  return out;
}

const JsonValue* SchemaSource::prefix_items(const JsonValue& schema) {
  if (const JsonValue* prefix = schema.find("prefixItems")) return prefix;
  const JsonValue* items = schema.find("items");
  return items != nullptr && items->is(Kind::kArray) ? items : nullptr;
}

const JsonValue* SchemaSource::rest_items(const JsonValue& schema) {
  const JsonValue* items = schema.find("items");
  if (items == nullptr || !items->is(Kind::kArray)) return items;
  return schema.find("additionalItems");
}

Result<SchemaSet> SchemaSource::element(const SchemaSet& leaves, size_t index) const {
  SchemaSet out;
  for (const SchemaPart& part : leaves) {
    const JsonValue* prefix = prefix_items(*part.schema);
    if (prefix != nullptr && index < prefix->items.size()) {
      out.push_back({&prefix->items[index]});
    } else if (const JsonValue* rest = rest_items(*part.schema)) {
      out.push_back({rest});
    }
  }
  return out;
}

Result<bool> SchemaSource::object_surely_empty(const SchemaSet& leaves, int depth) {
  for (const SchemaPart& part : leaves) {
    const JsonValue* required = part.schema->find("required");
    if (required == nullptr) continue;
    for (const JsonValue& name : required->items) {
      ASSIGN_OR_RETURN(const SchemaSet value, property(leaves, name.text));
      ASSIGN_OR_RETURN(const bool empty, surely_empty(value, depth + 1));
      if (empty) return true;
    }
  }
  return false;
}

Result<bool> SchemaSource::surely_empty(const SchemaSet& set, int depth) {
  if (depth > kMaxProof) return false;
  ASSIGN_OR_RETURN(const SchemaLeaves all, leaves(set));
  if (all.never) return true;
  ASSIGN_OR_RETURN(uint8_t left, types(all.parts));
  ASSIGN_OR_RETURN(const auto allowed, values(all.parts));
  if (allowed) {
    uint8_t seen = 0;
    for (const JsonValue* value : *allowed) {
      static constexpr uint8_t kBits[] = {json_type::kNull,   json_type::kBoolean,
                                          json_type::kNumber, json_type::kString,
                                          json_type::kArray,  json_type::kObject};
      seen |= kBits[static_cast<size_t>(value->kind)];
    }
    left &= seen;
  }
  if (left == 0) return true;
  ASSIGN_OR_RETURN(const auto next, choice(all.parts));
  if (next) {
    for (size_t i = 0; i < next->branches->items.size(); ++i) {
      ASSIGN_OR_RETURN(const bool empty, surely_empty(chosen(all.parts, *next, i), depth + 1));
      if (!empty) return false;
    }
    return true;
  }
  if (left == json_type::kObject) return object_surely_empty(all.parts, depth);
  if (left == json_type::kString || left == json_type::kArray) {
    const bool text = left == json_type::kString;
    ASSIGN_OR_RETURN(const uint32_t min, least(all.parts, text ? "minLength" : "minItems"));
    ASSIGN_OR_RETURN(const uint32_t max, most(all.parts, text ? "maxLength" : "maxItems"));
    return min > max;
  }
  if ((left & ~json_type::kNumber) != 0) return false;
  bool only_integers = false;
  ASSIGN_OR_RETURN(const NumberBounds bounds, number_bounds(all.parts, &only_integers));
  return bounds.empty(only_integers || left == json_type::kInteger);
}

}  // namespace ponder
