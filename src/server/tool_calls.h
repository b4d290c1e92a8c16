// Tool calls that a model writes into its answer: told from text, and read. The styles of all families
// are understood whatever the model's own (engine/tool_grammar.h), R1's misspelt marks among them. What
// stands between two marks is read as JSON, so that a string may hold anything, marks included.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tool_grammar.h"
#include "server/generate.h"
#include "text/tokenizer.h"

namespace ponder {

// Whether a token is such a mark where the vocabulary has it as a special one: its text must not be
// lost with the other special tokens.
bool is_tool_mark(const Tokenizer& tokenizer, int32_t id);

// Text comes in pieces; what may be the beginning of a call is held back.
class ToolCallReader {
 public:
  // `bare`: the tools that an object alone may call, as Llama 3 does; empty: an object is text.
  explicit ToolCallReader(std::vector<std::string> bare = {}) : bare_(std::move(bare)) {}

  // The text that is certainly none of a call.
  std::string push(std::string_view text);
  struct End {
    std::string text;  // held back, and no call after all
    std::vector<ToolCall> calls;
  };
  // Ids of calls are "call_" and `answer_id` and a number. `cut`: the answer did not come to its own end,
  // so that what was begun is no call.
  End finish(const std::string& answer_id, bool cut = false);

 private:
  bool may_be_bare() const;

  const std::vector<std::string> bare_;
  std::string held_;
  bool calling_ = false;  // a mark came: everything is held
  bool blank_ = true;     // nothing but blanks so far
};

// All calls of a text that begins with a mark or an object; empty if it is not sound from end to end.
std::vector<ToolCall> parse_tool_calls(std::string_view text);

}  // namespace ponder
