// What OpenAI-like dialects have in common: fields of requests, shapes of replies.
#pragma once

#include <string>
#include <vector>

#include "server/dialect.h"
#include "server/fields.h"

namespace ponder {

// {"error": {"message", "type", "param", "code"}}, with Retry-After where it is known.
WebReply openai_error(const ApiError& error);
// The same as one "data:" event.
std::string openai_stream_error(const ApiError& error);

// Each reads its fields into `out`; trouble is kept in `fields`.
// model, n, stream, stop, seed, max_tokens, temperature ... and vLLM's and llama.cpp's further ones.
void read_common(Fields& fields, const RequestLimits& limits, GenerateRequest& out);
// thinking, reasoning_effort, chat_template_kwargs, budgets, in the spellings of several servers.
void read_thinking(Fields& fields, GenerateRequest& out);
// response_format, guided_*, structured_outputs, grammar.
void read_constraint(Fields& fields, GenerateRequest& out);
void read_messages(Fields& fields, const RequestLimits& limits, GenerateRequest& out);
// tool_choice, parallel_tool_calls.
void read_tool_choice(Fields& fields, GenerateRequest& out);
// Tools in OpenAI's form, names and all, after tool_choice was read.
void take_tools(Fields& fields, const Json& tools, GenerateRequest& out);
// tools, tool_choice, parallel_tool_calls.
void read_tools(Fields& fields, const RequestLimits& limits, GenerateRequest& out);

// low, medium, high, ...: whether to think and for how many tokens. False: no such level.
bool set_effort(std::string_view level, GenerateRequest& out);

// The text of a message's content: a string, or a list of parts of which only texts are understood.
std::string content_text(Fields& fields, std::string_view name);

struct UsageOptions {
  bool deepseek = false;  // prompt_cache_hit_tokens and prompt_cache_miss_tokens alone
};
Json usage_json(const Usage& usage, const UsageOptions& options = {});

const char* openai_finish(Finish finish);  // null for kNone
// {"token", "logprob", "bytes", "top_logprobs"} of each.
Json logprob_list(const std::vector<TokenInfo>& tokens);
// The bytes as text; what is not UTF-8 by itself as \xNN.
std::string token_as_text(const std::string& bytes);

}  // namespace ponder
