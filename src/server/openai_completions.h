// Completions of plain texts as OpenAI has them, and DeepSeek's filling in the middle.
#pragma once

#include "server/dialect.h"

namespace ponder {

struct CompletionFlavour {
  bool deepseek = false;  // its usage fields
};

void text_completions(Call call, const CompletionFlavour& flavour);

}  // namespace ponder
