// Schemas that a value must all satisfy, brought down to their plain keywords: what $ref, allOf,
// anyOf and oneOf mean is worked out here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/status.h"
#include "engine/grammar.h"
#include "engine/json_value.h"
#include "engine/number_range.h"

namespace ponder {

// A schema but for what was dealt with already, which `done` says.
struct SchemaPart {
  enum Done : uint8_t { kNothing = 0, kRefs = 1, kAnyOf = 2, kOneOf = 4 };

  const JsonValue* schema = nullptr;
  uint8_t done = kNothing;
  auto operator<=>(const SchemaPart&) const = default;
};

using SchemaSet = std::vector<SchemaPart>;

struct SchemaLeaves {
  SchemaSet parts;     // objects; $ref and allOf are done
  bool never = false;  // one of the schemas is false
};

// anyOf or oneOf of one of the parts.
struct SchemaChoice {
  size_t part = 0;
  SchemaPart::Done keyword = SchemaPart::kNothing;
  const JsonValue* branches = nullptr;
};

namespace json_type {
enum : uint8_t {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,   // numbers without a fraction
  kFraction = 8,  // the others
  kString = 16,
  kArray = 32,
  kObject = 64,
  kNumber = kInteger | kFraction,
  kAll = 127,
};
}

class SchemaSource {
 public:
  // `root` must outlive it.
  explicit SchemaSource(const JsonValue& root);

  const JsonValue& root() const { return root_; }
  // kInvalid, kUnsupported or kExhausted with the pointer.
  Result<SchemaLeaves> leaves(const SchemaSet& set);
  // One that is not done yet.
  Result<std::optional<SchemaChoice>> choice(const SchemaSet& leaves) const;
  // The set in which branch `index` is chosen.
  static SchemaSet chosen(const SchemaSet& leaves, const SchemaChoice& choice, size_t index);

  // The types that all parts allow: those of `type`, and of `enum` and `const` if `with_values`.
  Result<uint8_t> types(const SchemaSet& leaves) const;
  // The types that keywords such as `properties` or `minLength` speak of; 0 if there are none.
  static uint8_t types_spoken_of(const SchemaSet& leaves);
  // The values that all enums and consts have in common; nothing if there are no such keywords.
  Result<std::optional<std::vector<const JsonValue*>>> values(const SchemaSet& leaves) const;
  Result<NumberBounds> number_bounds(const SchemaSet& leaves, bool* only_integers) const;
  // Each the tightest of all parts.
  Result<uint32_t> least(const SchemaSet& leaves, std::string_view keyword) const;
  Result<uint32_t> most(const SchemaSet& leaves, std::string_view keyword) const;

  // What a property's value must satisfy.
  Result<SchemaSet> property(const SchemaSet& leaves, std::string_view name);
  // What the array's element `index` must satisfy.
  Result<SchemaSet> element(const SchemaSet& leaves, size_t index) const;
  // `prefixItems`, or `items` where that is a list as it was up to 2019-09; null if there is none.
  static const JsonValue* prefix_items(const JsonValue& schema);
  static const JsonValue* rest_items(const JsonValue& schema);
  // Whether `pattern` matches somewhere in `text`; `place` is for the message.
  Result<bool> matches(const std::string& pattern, std::string_view text, const JsonValue* place);

  // Whether it is certain that no value satisfies all; false where that is hard to say.
  Result<bool> surely_empty(const SchemaSet& set, int depth = 0);

  // "at #/a/b": where in the document.
  std::string at(const JsonValue* place) const;
  Status wrong(const JsonValue* place, std::string_view what) const;
  Status cannot(const JsonValue* place, std::string_view what) const;

 private:
  Status visit(const SchemaPart& part, std::vector<const JsonValue*>& path, SchemaLeaves& out);
  Status check_keywords(const JsonValue& schema);
  Status visit_parts(const JsonValue& schema, std::vector<const JsonValue*>& path,
                     SchemaLeaves& out);
  Status check_shape(const JsonValue& value, const std::string& key) const;
  Status step(size_t count);
  Result<const JsonValue*> resolve(const JsonValue& ref) const;
  Result<uint32_t> count(const JsonValue* value, std::string_view keyword) const;
  Result<bool> object_surely_empty(const SchemaSet& leaves, int depth);

  const JsonValue& root_;
  std::unordered_map<const JsonValue*, const JsonValue*> parents_;
  std::unordered_set<const JsonValue*> checked_;
  std::map<std::string, std::shared_ptr<const Grammar>, std::less<>> patterns_;
  size_t steps_ = 0;
};

}  // namespace ponder
