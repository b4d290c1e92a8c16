// Chat completions as OpenAI has them, and DeepSeek's variant.
#pragma once

#include <memory>

#include "server/dialect.h"

namespace ponder {

struct ChatFlavour {
  // Which fields hold the thinking of an answer.
  bool reasoning_content = true, reasoning = true;
  bool deepseek = false;  // usage in the last chunk, DeepSeek's fields in it
  bool prefix = true;     // a last message with `prefix` is gone on with
};

// Reads the body of the call and answers it.
void chat_completions(Call call, const ChatFlavour& flavour);

}  // namespace ponder
