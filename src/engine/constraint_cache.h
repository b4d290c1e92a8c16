// Grammars that requests ask for, compiled once and kept with their masks.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/status.h"
#include "engine/token_masks.h"
#include "engine/tool_grammar.h"

namespace ponder {

struct ConstraintSpec {
  enum class Kind : uint8_t {
    kJsonObject,  // `text` is not used
    kJsonValue,   // neither
    kJsonSchema,
    kRegex,
    kGbnf,
    kChoices,  // `choices` in place of `text`
    kText,     // any; for `calls`
  };
  Kind kind = Kind::kJsonObject;
  std::string text;
  std::vector<std::string> choices;
  // The answer may be calls of tools instead, or must be. With kText, kJsonObject, kJsonValue and
  // kJsonSchema alone.
  std::optional<ToolCallSpec> calls = {};
  auto operator<=>(const ConstraintSpec&) const = default;
};

Result<std::shared_ptr<const Grammar>> compile(const ConstraintSpec& spec);

// For one tokenizer. Thread-safe.
class ConstraintCache {
 public:
  explicit ConstraintCache(std::shared_ptr<const TokenTrie> trie, size_t capacity = 16)
      : trie_(std::move(trie)), capacity_(capacity) {}

  // The masks of `spec`, new or those of an earlier call, of which the last `capacity` are kept.
  // Errors as the compiler of its kind; kUnsupported: no token can begin the text, which is not empty.
  Result<std::shared_ptr<TokenMasks>> get(const ConstraintSpec& spec);
  size_t size() const;

 private:
  struct Entry {
    std::shared_ptr<TokenMasks> masks;
    std::list<const ConstraintSpec*>::iterator place;  // in recent_
  };

  const std::shared_ptr<const TokenTrie> trie_;
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::map<ConstraintSpec, Entry> entries_;
  std::list<const ConstraintSpec*> recent_;  // keys of entries_, the last one used first
};

}  // namespace ponder
