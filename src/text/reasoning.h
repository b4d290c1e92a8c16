// Splits an answer into thinking and content while it is being written. The marks (<think>, </think>, and R1-Zero's <answer> and
// </answer>) are tokens where the vocabulary has them so; only for a vocabulary that spells them out is the text watched, and then
// a mark that is cut across tokens is held back until it is certain.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace ponder {

// What a token made certain: whole characters, without the marks and the blank lines around them.
struct ReasoningText {
  std::string thinking, content;
};

class ReasoningSplitter {
 public:
  // `begins_thinking`: the prompt ends inside a <think> that the template opened, see prompt_opens_thinking().
  ReasoningSplitter(const Tokenizer& tokenizer, bool begins_thinking);

  ReasoningText push(int32_t id);
  // What was held back: the end of the answer.
  ReasoningText finish();

  bool thinking() const { return thinking_; }
  // Tokens of thinking so far, marks not counted.
  int64_t thinking_tokens() const { return thinking_tokens_; }

 private:
  enum class Mark : uint8_t { kNone, kThink, kEndThink, kAnswer };
  Mark mark_of(int32_t id) const;
  void apply(Mark mark);
  void put(std::string_view text, ReasoningText& out);
  void watch(std::string_view text, bool last, ReasoningText& out);

  StreamDecoder decoder_;
  int32_t think_, end_think_, answer_, end_answer_;  // ids; -1: not in the vocabulary
  bool spelled_;                                     // <think> is no token: watch the text
  bool thinking_;
  bool thought_;       // there was a mark, or the prompt had one
  bool blank_ = true;  // nothing but blanks since the last mark: they are dropped
  int64_t thinking_tokens_ = 0;
  std::string held_;  // perhaps the beginning of a spelled mark
};

// Whether a rendered prompt ends with an open <think>, and how much of its end that is (bytes, trailing blanks included; 0: it does
// not).
size_t prompt_opens_thinking(std::string_view prompt);

}  // namespace ponder
