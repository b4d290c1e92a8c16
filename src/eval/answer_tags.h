// The answer format of R1-Zero: <think>...</think><answer>...</answer>. Tags are recognised byte
// for byte; other cases, spaces or attributes make plain text. White space is space, tab, line feed
// and carriage return, nothing else.
#pragma once

#include <string>
#include <string_view>

namespace ponder {

struct TaggedAnswer {
  // White space, <think>, text, </think>, white space, <answer>, text, </answer>, white space,
  // where no text holds a tag.
  bool well_formed = false;
  // "ok" if <answer> and </answer> each occur once and in order. Else the first that applies of
  // "empty" (nothing but white space), "no_answer", "many_answers" (either tag more than once),
  // "unclosed_answer".
  std::string_view reason = "ok";
  // When the reason is "ok": the text between the tags, as a view of the argument, untrimmed.
  std::string_view answer;

  bool has_answer() const { return reason == "ok"; }
};

// Total over arbitrary bytes; linear time, constant memory. The views live as long as `completion`.
TaggedAnswer find_answer(std::string_view completion);

// "<think>THINKING</think><answer>ANSWER</answer>"
std::string tagged_completion(std::string_view thinking, std::string_view answer);

bool is_white_space(char c);
bool is_digit(char c);
std::string_view trim(std::string_view text);

}  // namespace ponder
