// The masks that hold a model's answers to grammars, for one vocabulary.
#pragma once

#include <memory>
#include <mutex>

#include "engine/constraint_cache.h"
#include "text/tokenizer.h"

namespace ponder {

// Thread-safe. The first mask prepares the vocabulary (about 0.1 s).
class AnswerMasks {
 public:
  explicit AnswerMasks(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

  // Errors as ConstraintCache::get().
  Result<std::shared_ptr<TokenMasks>> get(const ConstraintSpec& spec);

 private:
  const Tokenizer tokenizer_;
  std::once_flag plain_made_, calls_made_;
  std::unique_ptr<ConstraintCache> plain_, calls_;  // `calls_`: of calls of tools
};

}  // namespace ponder
