#include "server/answer_masks.h"

namespace ponder {

Result<std::shared_ptr<TokenMasks>> AnswerMasks::get(const ConstraintSpec& spec) {
  // Marks of thinking are no text, whether or not the vocabulary calls them special.
  const int32_t marks[] = {tokenizer_.id_of("<think>"), tokenizer_.id_of("</think>")};
  if (spec.calls) {
    std::call_once(calls_made_, [&] {
      calls_ = std::make_unique<ConstraintCache>(call_trie(tokenizer_, marks));
    });
    return calls_->get(spec);
  }
  std::call_once(plain_made_, [&] {
    plain_ = std::make_unique<ConstraintCache>(
        std::make_shared<const TokenTrie>(tokenizer_, std::span<const int32_t>(marks)));
  });
  return plain_->get(spec);
}

}  // namespace ponder
