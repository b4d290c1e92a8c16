// One answer's tokens made into what clients see: thinking and content apart, whole characters, cut at
// a stop string, with the log-probabilities of the tokens that each piece of text is made of.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/generate.h"
#include "server/tool_calls.h"
#include "text/reasoning.h"
#include "text/stop_strings.h"
#include "text/tokenizer.h"

namespace ponder {

class AnswerText {
 public:
  struct Options {
    bool split = false;     // thinking from content
    bool thinking = false;  // it begins within the thinking
    std::vector<std::string> stops;
    bool logprobs = false;
    bool tools = false;                        // calls are told from text
    std::string id;                            // what ids of calls are made of
    std::vector<std::string> bare_calls = {};  // as ToolCallReader has them
  };
  AnswerText(const Tokenizer& tokenizer, Options options);

  // A token; `shown` is false for one that ends the answer and is no text. `info` is used if
  // log-probabilities were asked for.
  AnswerDelta push(int32_t token, bool shown, TokenInfo info = {});
  // The end, as the engine has it.
  AnswerDelta finish(Finish why);

  // Whether the answer has ended: by a stop string, or by finish().
  bool ended() const { return finish_ != Finish::kNone; }
  Finish why() const { return finish_; }
  int64_t tokens() const { return tokens_; }
  int64_t thinking_tokens() const;

 private:
  // `why`: kNone unless it is the end.
  AnswerDelta take(ReasoningText text, Finish why);

  const Tokenizer tokenizer_;
  const Options options_;
  ToolCallReader calls_;
  std::optional<ReasoningSplitter> splitter_;
  std::optional<StreamDecoder> decoder_;
  StopStrings stops_;
  std::vector<TokenInfo> held_thinking_, held_content_;  // of text that is not certain yet
  int64_t tokens_ = 0;
  Finish finish_ = Finish::kNone;
};

}  // namespace ponder
