// Trains a byte-level BPE vocabulary and writes it as the two files of a Hugging Face tokenizer, with
// a chat template for a small model that thinks.
//
//   id     token
//   0..5   <|pad|> <|end|> <|user|> <|assistant|> <think> </think>
//   6..261 the bytes, in the order of the byte alphabet's characters
//   262..  merges, most frequent first
//
// Text is cut as Qwen2's vocabulary cuts it, with single digits. No token crosses a cut, and none but
// a space joins a sign of arithmetic. <think> and </think>
// are text to decode(); the first four are special.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/status.h"

namespace ponder {

// Of the tokens above.
struct ChatTokenIds {
  static constexpr int32_t kPad = 0, kEnd = 1, kUser = 2, kAssistant = 3, kThink = 4, kThinkEnd = 5;
  static constexpr int32_t kBytes = 6;     // of the first byte
  static constexpr int32_t kMerges = 262;  // of the first merge
};

inline constexpr int32_t kMinBpeVocabulary = ChatTokenIds::kMerges;
inline constexpr int32_t kMaxBpeVocabulary = 65536;

// tokenizer.json with at most `vocab_size` tokens: of all neighbouring tokens within the pieces of
// `documents` the most frequent pair is merged, of equally frequent ones that whose bytes come first
// (left, then right), until the vocabulary is full or no pair occurs twice. The result depends on
// nothing but the arguments. Time: about 0.2 s per MB of text, and 1 ms a merge. kInvalid: vocab_size is
// not in kMinBpeVocabulary..kMaxBpeVocabulary; documents without text.
Result<std::string> train_bpe_tokenizer_json(std::span<const std::string> documents,
                                             int32_t vocab_size);

// tokenizer_config.json: the special tokens, the model's longest sequence, and a template that writes
//   <|user|>QUESTION<|end|><|assistant|>ANSWER<|end|>...
// The thinking of earlier answers is left out, and so are system messages. add_generation_prompt ends in
//   <|assistant|><think>\n                  or, with enable_thinking false,
//   <|assistant|><think>\n\n</think>\n
std::string chat_tokenizer_config_json(int64_t max_tokens);

}  // namespace ponder
