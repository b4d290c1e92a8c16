// How an answer of a chat model thinks, from the marks in its vocabulary.
#pragma once

#include "engine/request.h"
#include "text/chat_format.h"

namespace ponder {

// `open`: the prompt ends within the thinking (ChatPrompt::thinking). The limits are left unset; `close_id` is -1 for a
// model without a token that ends its thinking, which cannot be limited.
Thinking thinking_of(const ChatFormat& format, bool open);

}  // namespace ponder
