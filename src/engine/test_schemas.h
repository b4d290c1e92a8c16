// Random schemas, random values for them, and a plain validator that knows nothing of grammars; for
// tests. Templates, so that this header needs no JSON library: Json is nlohmann::ordered_json.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/rng.h"
#include "text/regex.h"

namespace ponder {

inline size_t count_chars(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Whether the pattern matches somewhere in the text. Its ^ and $ are the text's edges.
inline bool pattern_matches(const std::string& pattern, const std::string& text) {
  static std::map<std::string, Regex> known;
  auto at = known.find(pattern);
  if (at == known.end()) {
    std::string strict;
    for (const char c : pattern) strict += c == '^' ? "\\A" : c == '$' ? "\\z" : std::string(1, c);
    at = known.emplace(pattern, *Regex::compile(strict)).first;
  }
  static MatchSpace space;
  size_t start = 0, end = 0;
  return at->second.find(text, 0, &start, &end, space);
}

// Plain JSON Schema, in the words of its specification.
template <typename Json>
class SchemaValidator {
 public:
  explicit SchemaValidator(const Json& root) : root_(root) {}

  bool valid(const Json& schema, const Json& value) const {
    if (schema.is_boolean()) return schema.template get<bool>();
    if (schema.contains("$ref")) {
      const std::string ref = schema["$ref"];
      const Json& target =
          ref == "#" ? root_ : root_.at(typename Json::json_pointer(ref.substr(1)));
      if (!valid(target, value)) return false;
    }
    for (const Json& part : schema.value("allOf", Json::array())) {
      if (!valid(part, value)) return false;
    }
    for (const char* name : {"anyOf", "oneOf"}) {
      if (!schema.contains(name)) continue;
      const auto hits = std::count_if(schema[name].begin(), schema[name].end(),
                                      [&](const Json& s) { return valid(s, value); });
      if (hits == 0 || (hits > 1 && name == std::string("oneOf"))) return false;
    }
    if (schema.contains("const") && !equal(schema["const"], value)) return false;
    if (schema.contains("enum") && std::none_of(schema["enum"].begin(), schema["enum"].end(),
                                                [&](const Json& v) { return equal(v, value); })) {
      return false;
    }
    if (schema.contains("type") && !has_type(schema["type"], value)) return false;
    if (value.is_string()) return valid_string(schema, value.template get<std::string>());
    if (value.is_number()) return valid_number(schema, value.template get<double>());
    if (value.is_array()) return valid_array(schema, value);
    if (value.is_object()) return valid_object(schema, value);
    return true;
  }

 private:
  // Whatever the order of members.
  static bool equal(const Json& a, const Json& b) {
    if (!a.is_object() || !b.is_object()) {
      if (!a.is_array() || !b.is_array()) return a == b;
      return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
    }
    if (a.size() != b.size()) return false;
    for (const auto& [key, value] : a.items()) {
      if (!b.contains(key) || !equal(value, b[key])) return false;
    }
    return true;
  }

  static bool has_type(const Json& type, const Json& value) {
    if (type.is_array()) {
      return std::any_of(type.begin(), type.end(),
                         [&](const Json& t) { return has_type(t, value); });
    }
    const std::string name = type;
    if (name == "null") return value.is_null();
    if (name == "boolean") return value.is_boolean();
    if (name == "number") return value.is_number();
    if (name == "integer") {
      return value.is_number() &&
             (value.is_number_integer() ||
              value.template get<double>() == std::floor(value.template get<double>()));
    }
    if (name == "string") return value.is_string();
    return name == "array" ? value.is_array() : value.is_object();
  }

  static bool valid_string(const Json& schema, const std::string& text) {
    const size_t length = count_chars(text);
    if (schema.contains("minLength") && length < schema["minLength"].template get<size_t>())
      return false;
    if (schema.contains("maxLength") && length > schema["maxLength"].template get<size_t>())
      return false;
    if (!schema.contains("pattern")) return true;
    return pattern_matches(schema["pattern"].template get<std::string>(), text);
  }

  static bool valid_number(const Json& schema, double value) {
    if (schema.contains("minimum") && value < schema["minimum"].template get<double>())
      return false;
    if (schema.contains("maximum") && value > schema["maximum"].template get<double>())
      return false;
    if (schema.contains("exclusiveMinimum") &&
        value <= schema["exclusiveMinimum"].template get<double>()) {
      return false;
    }
    return !schema.contains("exclusiveMaximum") ||
           value < schema["exclusiveMaximum"].template get<double>();
  }

  bool valid_array(const Json& schema, const Json& value) const {
    if (value.size() < schema.value("minItems", size_t{0})) return false;
    if (schema.contains("maxItems") && value.size() > schema["maxItems"].template get<size_t>())
      return false;
    const Json prefix = schema.value("prefixItems", Json::array());
    for (size_t i = 0; i < value.size(); ++i) {
      if (i < prefix.size() ? !valid(prefix[i], value[i])
                            : schema.contains("items") && !valid(schema["items"], value[i])) {
        return false;
      }
    }
    return true;
  }

  bool valid_object(const Json& schema, const Json& value) const {
    for (const Json& name : schema.value("required", Json::array())) {
      if (!value.contains(name.template get<std::string>())) return false;
    }
    if (value.size() < schema.value("minProperties", size_t{0})) return false;
    if (schema.contains("maxProperties") &&
        value.size() > schema["maxProperties"].template get<size_t>()) {
      return false;
    }
    const Json properties = schema.value("properties", Json::object());
    const Json patterns = schema.value("patternProperties", Json::object());
    for (const auto& [key, item] : value.items()) {
      bool named = properties.contains(key);
      if (named && !valid(properties[key], item)) return false;
      for (const auto& [pattern, part] : patterns.items()) {
        if (!pattern_matches(pattern, key)) continue;
        named = true;
        if (!valid(part, item)) return false;
      }
      if (!named && schema.contains("additionalProperties") &&
          !valid(schema["additionalProperties"], item)) {
        return false;
      }
      if (schema.contains("propertyNames") && !valid(schema["propertyNames"], Json(key))) {
        return false;
      }
    }
    return true;
  }

  const Json& root_;
};

// Random schemas, and random values that are valid for them (most of the time: callers check).
template <typename Json>
class SchemaMaker {
 public:
  explicit SchemaMaker(uint64_t seed) : rng_(seed, hash64("schemas"), 0) {}

  Json document() {
    Json root = schema(3);
    if (!root.is_object()) root = Json{{"type", "object"}};
    root["$defs"] = {{"leaf", schema(1)}, {"tree", tree()}};
    return root;
  }

  // The schema of a tool's arguments.
  Json parameters() {
    Json root = object_schema(3, true);
    root["$defs"] = {{"leaf", schema(1)}, {"tree", tree()}};
    return root;
  }

  Json value(const Json& root, const Json& s, int depth = 0) {
    if (s.is_boolean()) return s.template get<bool>() ? any(depth) : Json();
    if (s.contains("$ref")) {
      const std::string ref = s["$ref"];
      return value(root, root.at(typename Json::json_pointer(ref.substr(1))), depth + 1);
    }
    for (const char* name : {"anyOf", "oneOf"}) {
      // Deep down, the last branch, which does not lead further.
      if (s.contains(name))
        return value(root, depth > 4 ? s[name].back() : pick(s[name]), depth + 1);
    }
    if (s.contains("allOf")) {
      Json all = Json::object(), out = Json::object();
      for (const Json& part : s["allOf"]) all.update(value(root, part, depth + 1));
      for (const Json& part : s["allOf"]) {  // in the order of the schemas
        for (const auto& [key, unused] : part["properties"].items()) {
          if (all.contains(key)) out[key] = all[key];
        }
      }
      return out;
    }
    if (s.contains("const")) return s["const"];
    if (s.contains("enum")) return pick(s["enum"]);
    if (!s.contains("type")) return any(depth);
    const Json type = s["type"].is_array() ? pick(s["type"]) : s["type"];
    if (type == "null") return {};
    if (type == "boolean") return coin();
    if (type == "string") return text(s);
    if (type == "integer" || type == "number") return number(s, type == "integer");
    if (type == "array") return array(root, s, depth);
    return object(root, s, depth);
  }

 private:
  uint32_t below(uint32_t n) { return rng_.below(n); }
  bool coin() { return below(2) == 0; }
  Json pick(const Json& list) { return list[below(static_cast<uint32_t>(list.size()))]; }

  std::string name() {
    static const char* kNames[] = {"a",     "ab",  "abc", "name",         "id",   "type",
                                   "value", "n_1", "x y", "\xE4\xBD\xA0", "q\"q", "and"};
    return kNames[below(12)];
  }

  Json tree() {
    return {{"type", "object"},
            {"properties",
             {{"value", schema(1)},
              {"and", {{"anyOf", {{{"$ref", "#/$defs/tree"}}, {{"type", "null"}}}}}}}},
            {"required", {"and"}},
            {"additionalProperties", false}};
  }

  Json schema(int depth) {
    switch (below(depth > 0 ? 15 : 7)) {
      case 0:
        return {{"type", coin() ? "boolean" : "null"}};
      case 1:
        return string_schema();
      case 2:
        return number_schema();
      case 3:
        return {{"enum",
                 {name(), name() + "x", static_cast<int>(below(100)), nullptr, {{"k", {1, "z"}}}}}};
      case 4:
        return {{"const", coin() ? Json(name()) : Json(below(1000))}};
      case 5:
        return {{"type", {"integer", "null"}}, {"minimum", static_cast<int>(below(30)) - 15}};
      case 6:
        return coin() ? Json(true) : Json{{"type", coin() ? "string" : "number"}};
      case 7:
      case 8:
        return array_schema(depth);
      case 9:
        return {{"anyOf", {schema(depth - 1), schema(depth - 1), schema(0)}}};
      case 10:
        return {{"allOf", {object_schema(depth, false), object_schema(depth, false)}}};
      case 11:
        return {{"$ref", coin() ? "#/$defs/leaf" : "#/$defs/tree"}};
      case 12:
        return {{"oneOf",
                 {tagged("a", depth), tagged("b", depth), {{"type", "integer"}, {"maximum", 3}}}}};
      default:
        return object_schema(depth, true);
    }
  }

  Json tagged(const char* tag, int depth) {
    return {{"type", "object"},
            {"properties", {{"type", {{"const", tag}}}, {"value", schema(depth - 1)}}},
            {"required", {"type"}},
            {"additionalProperties", false}};
  }

  Json string_schema() {
    static const char* kPatterns[] = {"^[a-c]{2,5}$",
                                      "^a+b?$",
                                      "[0-9]",
                                      "^x|y$",
                                      "^(?:ab|cd)*$",
                                      "^\\d{4}-\\d{2}$",
                                      "^[A-Z][a-z]*( [a-z]+){0,3}$"};
    Json out{{"type", "string"}};
    const uint32_t kind = below(4);
    if (kind == 0) out["pattern"] = kPatterns[below(7)];
    if (kind == 1) out["minLength"] = below(4);
    if (kind == 1 || kind == 2) out["maxLength"] = 4 + below(30);
    return out;
  }

  Json number_schema() {
    const bool integer = coin();
    Json out{{"type", integer ? "integer" : "number"}};
    const int low = static_cast<int>(below(4000)) - 2000;
    if (coin())
      out[coin() ? "minimum" : "exclusiveMinimum"] = integer ? Json(low) : Json(low / 8.0);
    if (coin()) {
      const int high = low + 20 + static_cast<int>(below(500));
      out[coin() ? "maximum" : "exclusiveMaximum"] = integer ? Json(high) : Json(high / 8.0);
    }
    return out;
  }

  Json array_schema(int depth) {
    Json out{{"type", "array"}};
    if (coin()) {
      out["prefixItems"] = {schema(depth - 1), schema(depth - 1)};
      if (coin()) out["items"] = coin() ? schema(0) : Json(false);
      return out;
    }
    if (below(4) != 0) out["items"] = schema(depth - 1);
    if (coin()) out["minItems"] = below(3);
    if (coin()) out["maxItems"] = 3 + below(200);
    return out;
  }

  Json object_schema(int depth, bool closed) {
    Json out{{"type", "object"}, {"properties", Json::object()}};
    for (uint32_t i = below(5); i-- > 0;) out["properties"][name()] = schema(depth - 1);
    Json required = Json::array();
    for (const auto& [key, part] : out["properties"].items()) {
      if (coin()) required.push_back(key);
    }
    if (!required.empty()) out["required"] = required;
    if (!closed) return out;
    switch (below(6)) {
      case 0:
        out["additionalProperties"] = true;
        break;
      case 1:
        out["additionalProperties"] = schema(0);
        break;
      case 2:
        out["maxProperties"] = out["properties"].size();
        out["minProperties"] = std::min<size_t>(out["properties"].size(), 2);
        break;
      case 3:
        out = {{"type", "object"},
               {"patternProperties", {{"^[a-z]_", schema(0)}}},
               {"additionalProperties", false}};
        break;
      case 4:
        out = {{"type", "object"},
               {"propertyNames", {{"pattern", "^[a-z]{1,4}$"}}},
               {"additionalProperties", schema(0)}};
        break;
      default:
        out["additionalProperties"] = false;
    }
    return out;
  }

  Json any(int depth) {
    switch (below(depth > 4 ? 4 : 6)) {
      case 0:
        return {};
      case 1:
        return coin();
      case 2:
        return name() + "\n\t\"\\\x01\xF0\x9F\x98\x80";
      case 3:
        return (static_cast<int>(below(2000)) - 1000) / 4.0;
      case 4:
        return Json::array({any(depth + 1), any(depth + 1)});
      default:
        return Json{{name(), any(depth + 1)}};
    }
  }

  Json text(const Json& s) {
    if (s.contains("pattern")) {
      static const char* kTexts[] = {"ab", "abcab", "aaab",    "7",       "xx",
                                     "yy", "cdab",  "1999-12", "Abc de f"};
      std::string out;
      do {
        out = kTexts[below(9)];
      } while (!pattern_matches(s["pattern"].template get<std::string>(), out));
      return out;
    }
    const size_t min = s.value("minLength", size_t{0}), max = s.value("maxLength", size_t{20});
    static const char* kChars[] = {
        "a", "\"", "\\", "\n", "\x02", "\xC3\xA9", "\xE4\xBD\xA0", "\xF0\x9F\x98\x80", " ", "/"};
    std::string out;
    for (size_t n = min + below(static_cast<uint32_t>(max - min + 1)); n-- > 0;)
      out += kChars[below(10)];
    return out;
  }

  Json number(const Json& s, bool integer) {
    const double low = s.value("minimum", s.value("exclusiveMinimum", -300.0));
    const double high = s.value("maximum", s.value("exclusiveMaximum", low + 300));
    const double scale = integer ? 1 : 16;
    const double v = low * scale + below(static_cast<uint32_t>((high - low) * scale) + 1);
    if (integer) return static_cast<int64_t>(v);
    return v / scale;
  }

  Json array(const Json& root, const Json& s, int depth) {
    Json out = Json::array();
    const Json prefix = s.value("prefixItems", Json::array());
    size_t size = s.value("minItems", size_t{0}) + below(3);
    if (s.value("items", Json(true)) == false) size = std::min(size, prefix.size());
    for (size_t i = 0; i < size; ++i) {
      out.push_back(
          value(root, i < prefix.size() ? prefix[i] : s.value("items", Json(true)), depth + 1));
    }
    return out;
  }

  Json object(const Json& root, const Json& s, int depth) {
    Json out = Json::object();
    const Json required = s.value("required", Json::array());
    const Json properties = s.value("properties", Json::object());
    for (const auto& [key, part] : properties.items()) {
      const bool must = std::find(required.begin(), required.end(), key) != required.end();
      if (must || coin() || s.contains("minProperties")) out[key] = value(root, part, depth + 1);
    }
    const Json others = s.value("additionalProperties", Json(false));
    if (s.contains("patternProperties"))
      out["k_" + name()] = value(root, s["patternProperties"]["^[a-z]_"], depth + 1);
    if (!others.is_boolean() || others.template get<bool>())
      out["zzz"] = value(root, others, depth + 1);
    return out;
  }

  Rng rng_;
};

}  // namespace ponder
