#include "engine/constraint_cache.h"

#include <vector>

#include "engine/constraint.h"
#include "engine/gbnf_grammar.h"
#include "engine/json_grammar.h"
#include "engine/json_schema.h"
#include "engine/regex_grammar.h"
#include "engine/schema_compiler.h"

namespace ponder {
namespace {

// Calls of tools, or what `spec` says beside them.
Result<std::shared_ptr<const Grammar>> compile_calls(const ConstraintSpec& spec) {
  using Kind = ConstraintSpec::Kind;
  GrammarBuilder builder;
  ToolGrammar tools(*spec.calls, builder);
  RETURN_IF_ERROR(tools.add_functions());
  const auto root = builder.add_rule("root");
  JsonValue schema;  // outlives its compiler
  JsonGrammar json(builder);
  if (spec.calls->required) {
    builder.define(root, tools.calls());
  } else if (spec.kind == Kind::kText) {
    builder.define(root, tools.text_and_calls());
  } else if (spec.kind == Kind::kJsonObject || spec.kind == Kind::kJsonValue) {
    const auto value = spec.kind == Kind::kJsonValue ? json.value() : json.object();
    builder.define(root, builder.alt({tools.calls(), value}));
  } else if (spec.kind == Kind::kJsonSchema) {
    auto parsed = parse_json_value(spec.text);
    if (!parsed.ok()) return parsed.status().with_prefix("schema");
    schema = std::move(parsed).value();
    ASSIGN_OR_RETURN(const auto value, SchemaCompiler(schema, builder).run());
    builder.define(root, builder.alt({tools.calls(), value}));
  } else {
    return unsupported(
        "tools do not go together with a regular expression, a grammar or a list of choices, only "
        "with JSON");
  }
  return builder.build(root);
}

}  // namespace

Result<std::shared_ptr<const Grammar>> compile(const ConstraintSpec& spec) {
  using Kind = ConstraintSpec::Kind;
  if (spec.calls) return compile_calls(spec);
  switch (spec.kind) {
    case Kind::kJsonObject:
    case Kind::kJsonValue:
      return json_grammar(spec.kind == Kind::kJsonValue);
    case Kind::kJsonSchema:
      return compile_json_schema(spec.text);
    case Kind::kRegex:
      return compile_regex(spec.text);
    case Kind::kGbnf:
      return compile_gbnf(spec.text);
    case Kind::kChoices:
      break;
    case Kind::kText:
      PONDER_CHECK(false, "any text is no constraint");
  }
  return compile_choices(spec.choices);
}

Result<std::shared_ptr<TokenMasks>> ConstraintCache::get(const ConstraintSpec& spec) {
  const auto find = [&]() -> std::shared_ptr<TokenMasks> {
    const auto at = entries_.find(spec);
    if (at == entries_.end()) return nullptr;
    recent_.splice(recent_.begin(), recent_, at->second.place);
    return at->second.masks;
  };
  {
    const std::lock_guard lock(mutex_);
    if (auto masks = find()) return masks;
  }
  // Others need not wait while this one compiles; of two that compile the same, the first stays.
  ASSIGN_OR_RETURN(auto grammar, compile(spec));
  auto masks = std::make_shared<TokenMasks>(std::move(grammar), trie_);
  Constraint probe(masks, {});
  std::vector<uint64_t> first(trie_->mask_words());
  if (const Status begins = probe.mask(first); !begins.ok() && !probe.is_complete()) {
    if (begins.code() != Code::kInvalid) return begins;
    return unsupported("no token of this model's vocabulary can begin the text that is asked for");
  }
  const std::lock_guard lock(mutex_);
  if (auto earlier = find()) return earlier;
  const auto at = entries_.emplace(spec, Entry{masks, {}}).first;
  recent_.push_front(&at->first);
  at->second.place = recent_.begin();
  if (entries_.size() > capacity_) {
    const auto oldest = entries_.find(*recent_.back());
    recent_.pop_back();
    entries_.erase(oldest);
  }
  return masks;
}

size_t ConstraintCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace ponder
