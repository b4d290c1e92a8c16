// What all dialects ask for, and what they are told: one request core, free of any dialect's names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/constraint_cache.h"
#include "engine/request.h"
#include "server/api_error.h"
#include "server/http.h"

namespace ponder {

struct ToolCall {
  std::string id, name, arguments;  // arguments: the text of a JSON object
};

struct InputMessage {
  std::string role, content;  // "system", "user", "assistant", "tool"
  std::string reasoning;      // an assistant's thinking, where the client sends it back
  std::string name, tool_call_id;
  std::vector<ToolCall> tool_calls;
  bool prefix = false;  // the last message, an assistant's: the answer goes on from it
};

// A text to go on with, as text or as token ids; with a suffix: what is to be put between.
struct TextPrompt {
  std::string text;
  std::vector<int32_t> ids;  // in place of the text, if any
  std::optional<std::string> suffix;
};

// Whether an answer calls tools.
struct ToolChoice {
  enum class Mode : uint8_t {
    kAuto,      // the model decides
    kRequired,  // it is calls and nothing else
    kNone,      // it is none
  };
  Mode mode = Mode::kAuto;
  std::vector<std::string> only;  // tools that may be called; empty: all
  bool parallel = true;           // more than one call
};

struct GenerateRequest {
  std::string model;                 // empty: the first
  std::optional<double> keep_alive;  // as ModelHost::keep() has it
  std::optional<int64_t> context;    // tokens of prompt and answer; none: the model's

  // Either messages or prompts.
  std::vector<InputMessage> messages;
  std::string tools;  // a JSON list as OpenAI has it; empty: none
  ToolChoice tool_choice;
  std::string template_arguments;  // a JSON object of more template variables; empty: none
  std::vector<TextPrompt> prompts;
  bool echo = false;  // the answer begins with the prompt

  int32_t n = 1;
  // What the request does not say is the model's.
  std::optional<double> temperature, top_p, min_p, typical_p;
  std::optional<double> repetition_penalty, frequency_penalty, presence_penalty;
  std::optional<int32_t> top_k, max_tokens, min_tokens, no_repeat_ngram;
  std::vector<LogitBias> logit_bias;
  std::vector<int32_t> stop_ids, suppress;
  bool ignore_eos = false;
  std::optional<uint64_t> seed;
  std::vector<std::string> stops;

  std::optional<bool> think;  // none: as the template has it
  std::optional<int64_t> thinking_budget;
  std::optional<double> thinking_seconds;

  std::optional<ConstraintSpec> constraint;
  LoopCheck loop;
  std::optional<double> deadline_seconds;
  bool logprobs = false;
  int32_t top_logprobs = 0;
  bool stream = false;
  std::string user;  // of the client's: keeps its cache apart

  std::vector<std::string> warnings;  // for the client: what was not done as asked
};

// Upper bounds of what one request may ask for. Each has an error that names the field.
struct RequestLimits {
  size_t messages = 2048, tools = 128, stops = 16, stop_bytes = 256, prompts = 64;
  int32_t n = 32, top_logprobs = 20;
  int64_t answers = 128;  // prompts * n
};

// A token as a client sees it.
struct TokenInfo {
  int32_t id = 0;
  std::string bytes;
  float logprob = 0;
  struct Other {
    int32_t id = 0;
    std::string bytes;
    float logprob = 0;
  };
  std::vector<Other> top;
};

enum class Finish : uint8_t {
  kNone,
  kStop,
  kLength,
  kToolCalls,
  kCancelled,
  kLoop,
  kDeadline,
  kError,
};

// What is new about one answer.
struct AnswerDelta {
  int32_t index = 0;  // prompt * n + answer
  std::string thinking, content;
  std::vector<TokenInfo> thinking_tokens, content_tokens;  // if log-probabilities were asked for
  std::vector<ToolCall> tool_calls;                        // whole ones
  int32_t first_tool_call = 0;                             // number of the first of them
  Finish finish = Finish::kNone;
  std::string stopped_by;  // the stop string
  bool empty() const {
    return thinking.empty() && content.empty() && tool_calls.empty() && thinking_tokens.empty() &&
           content_tokens.empty() && finish == Finish::kNone;
  }
};

struct Usage {
  int64_t prompt = 0, completion = 0, reasoning = 0;  // reasoning is part of completion
  int64_t hit = 0, miss = 0;                          // of the prompt
  double queue_seconds = 0, first_token_seconds = 0, total_seconds = 0;
};

// What a reply says about itself.
struct ReplyHead {
  std::string id;  // 24 hexadecimal digits; dialects put their own word before it
  int64_t created = 0;
  std::string model;        // as the client named it
  std::string fingerprint;  // of build and weights
  uint64_t seed = 0;
  int32_t answers = 1;
  std::vector<std::string> warnings;
};

}  // namespace ponder
