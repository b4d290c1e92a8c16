// Anthropic's Messages: requests, replies and errors as its clients have them.
#pragma once

#include <memory>

#include "server/dialect.h"
#include "server/fields.h"

namespace ponder {

// {"type": "error", "error": {"type", "message"}}
WebReply anthropic_error(const ApiError& error);

// Reads a body of /v1/messages, or of count_tokens, which is the same without `max_tokens`.
void read_anthropic(Fields& fields, const RequestLimits& limits, bool counting,
                    GenerateRequest& out);

// `most_tokens`: the request's max_tokens.
std::unique_ptr<ReplyFormat> anthropic_reply(int32_t most_tokens);

// /v1/models is OpenAI's too: who sends the header anthropic-version means these.
bool asks_anthropic(const WebRequest& request);
void anthropic_list_models(const Call& call);
void anthropic_show_model(const Call& call);

}  // namespace ponder
