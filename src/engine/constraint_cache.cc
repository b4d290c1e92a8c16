#include "engine/constraint_cache.h"

#include "engine/gbnf_grammar.h"
#include "engine/json_grammar.h"
#include "engine/json_schema.h"
#include "engine/regex_grammar.h"

namespace ponder {

Result<std::shared_ptr<const Grammar>> compile(const ConstraintSpec& spec) {
  using Kind = ConstraintSpec::Kind;
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
