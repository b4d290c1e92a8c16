// Puts a JSON Schema into a grammar under way.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "engine/grammar.h"
#include "engine/json_grammar.h"
#include "engine/schema_set.h"

namespace ponder {

class SchemaCompiler {
 public:
  using Expr = GrammarBuilder::Expr;

  // Both must outlive it.
  SchemaCompiler(const JsonValue& root, GrammarBuilder& builder)
      : source_(root), builder_(builder), json_(builder) {}

  // A value that satisfies `root` and each of `others`. Errors as compile_json_schema().
  Result<Expr> run(std::span<const JsonValue* const> others = {});

 private:
  using RuleId = GrammarBuilder::RuleId;

  // What may stand in an object besides the properties that schemas name.
  struct Extras {
    bool any = false;
    Expr key = 0;  // with its quotes
    SchemaSet value;
  };
  struct Property {
    std::string name;
    SchemaSet value;
    bool required = false;
    bool never = false;
  };
  // An object under way: the rules for "the first i properties are decided, k of them are there".
  struct Object {
    std::vector<Property> properties;
    Extras extras;
    uint32_t min = 0, max = 0;
    std::map<std::pair<size_t, uint32_t>, RuleId> tails;
    std::vector<std::pair<size_t, uint32_t>> open;  // tails that are not defined yet
  };

  // The rule for what satisfies all schemas of the set; its body is made later, so that schemas may
  // refer to themselves and nest as they like.
  Expr value(const SchemaSet& set);
  Result<Expr> body(const SchemaSet& set);
  Result<Expr> choose(const SchemaSet& leaves, const SchemaChoice& choice);
  Status check_exclusive(const SchemaSet& leaves, const SchemaChoice& choice);
  Result<Expr> listed(const SchemaSet& leaves, const std::vector<const JsonValue*>& values,
                      uint8_t types);
  Result<bool> fits(const SchemaSet& leaves, const JsonValue& value, uint8_t types);
  Result<Expr> typed(const SchemaSet& leaves, uint8_t types);
  Result<Expr> number(const SchemaSet& leaves, uint8_t types);
  Result<Expr> string(const SchemaSet& leaves, GrammarBuilder& builder, JsonGrammar& json);
  Result<Expr> array(const SchemaSet& leaves);
  // schema_objects.cc
  Result<Expr> object(const SchemaSet& leaves);
  Status list_properties(const SchemaSet& leaves, Object& out);
  Status find_extras(const SchemaSet& leaves, Object& out);
  Status pattern_extras(const JsonValue& patterns, Object& out);
  Status named_extras(const SchemaSet& leaves, const SchemaSet& names, Object& out);
  Result<bool> is_name(const SchemaSet& names, const std::string& name);
  Expr tail(Object& object, size_t index, uint32_t count);
  Expr tail_body(Object& object, size_t index, uint32_t count);
  Expr tail_end(const Object& object, uint32_t count);

  SchemaSource source_;
  GrammarBuilder& builder_;
  JsonGrammar json_;
  std::map<SchemaSet, RuleId> rules_;
  std::deque<const SchemaSet*> open_;  // of rules_: without a body so far
};

}  // namespace ponder
