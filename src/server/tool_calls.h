// Tool calls that a model writes into its answer, in the styles of several families:
//   R1, V3   <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nARGUMENTS\n```<｜tool▁call▁end｜>...
//   V3.1     <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>ARGUMENTS<｜tool▁call▁end｜>...
//   Hermes, Qwen   <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call>...
//   Llama 3  <|python_tag|>{"name": NAME, "parameters": ARGUMENTS}, or that object alone
// The small distillations misspell R1's first mark in four ways, which are understood too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/generate.h"
#include "text/tokenizer.h"

namespace ponder {

// Whether a token is such a mark where the vocabulary has it as a special one: its text must not be
// lost with the other special tokens.
bool is_tool_mark(const Tokenizer& tokenizer, int32_t id);

// Text comes in pieces; what may be the beginning of a call is held back.
class ToolCallReader {
 public:
  // The text that is certainly none of a call.
  std::string push(std::string_view text);
  struct End {
    std::string text;  // held back, and no call after all
    std::vector<ToolCall> calls;
  };
  // Ids of calls are "call_" and `answer_id` and a number.
  End finish(const std::string& answer_id);

 private:
  std::string held_;
  bool calling_ = false;  // a mark came: everything is held
  bool blank_ = true;     // nothing but blanks so far
};

// All calls of a text that begins with a mark; empty if it is not sound.
std::vector<ToolCall> parse_tool_calls(std::string_view text);

}  // namespace ponder
