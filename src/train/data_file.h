// What a stage learns from a jsonl file, as token ids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "text/chat_format.h"
#include "train/corpus.h"

namespace ponder {

struct DataOptions {
  Mask mask = Mask::kCompletion;
  int64_t max_tokens = 0;  // the model's context
  bool skip_long = false;  // rows of more tokens are counted and left out, not an error
};

struct DataRows {
  std::vector<Document> documents;
  int64_t skipped = 0;  // too long
};

// All rows of a file, each with exactly one of:
//   "prompt" with "completion" (or "answer", another name for it): put as ChatFormat puts a question;
//   "messages": [{"role", "content"}, ...], by the model's own template. With Mask::kCompletion the
//     last message, an answer, is scored; with kAllAssistant each one, up to and with the token that
//     ends its turn. The spans are found by rendering the conversation up to each answer and past
//     it, which must be a beginning of the whole, token for token: else the row is refused;
//   "text": scored whole.
// kInvalid names file, line and key; kExhausted a row over max_tokens; and a file whose rows are all
// skipped is an error too.
Result<DataRows> read_data(const std::string& path, const ChatFormat& format,
                           const DataOptions& options);

}  // namespace ponder
