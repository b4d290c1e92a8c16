#include "server/answer_text.h"

#include <utility>

namespace ponder {

AnswerText::AnswerText(const Tokenizer& tokenizer, Options options)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      calls_(options_.bare_calls),
      stops_(options_.stops) {
  if (options_.split) {
    splitter_.emplace(tokenizer, options_.thinking);
  } else {
    decoder_.emplace(tokenizer, /*skip_special=*/true);
  }
}

int64_t AnswerText::thinking_tokens() const { return splitter_ ? splitter_->thinking_tokens() : 0; }

AnswerDelta AnswerText::take(ReasoningText text, Finish why) {
  const bool last = why != Finish::kNone;
  AnswerDelta out;
  out.thinking = std::move(text.thinking);
  // Stop strings end what is said; within a call there is nothing to stop.
  if (options_.tools) {
    text.content = calls_.push(text.content);
    if (last) {
      ToolCallReader::End end = calls_.finish(options_.id, why != Finish::kStop);
      text.content += end.text;
      out.tool_calls = std::move(end.calls);
    }
  }
  out.content = stops_.push(text.content);
  if (last) out.content += stops_.finish();
  if (!out.thinking.empty() || last) out.thinking_tokens = std::exchange(held_thinking_, {});
  if (!stops_.stopped_by().empty() && finish_ == Finish::kNone) {
    finish_ = out.finish = Finish::kStop;
    out.stopped_by = stops_.stopped_by();
    out.tool_calls.clear();
  }
  if (!out.content.empty() || last || finish_ != Finish::kNone) {
    out.content_tokens = std::exchange(held_content_, {});
  }
  return out;
}

AnswerDelta AnswerText::push(int32_t token, bool shown, TokenInfo info) {
  if (ended()) return {};
  ++tokens_;
  if (!shown) return {};
  ReasoningText text;
  bool thinks = false;
  if (splitter_) {
    thinks = splitter_->thinking();
    text = splitter_->push(token);
    thinks = thinks || splitter_->thinking();
  } else {
    text.content = decoder_->push(token);
  }
  if (options_.tools && !thinks && is_tool_mark(tokenizer_, token)) {
    text.content += tokenizer_.token_text(token);
  }
  if (options_.logprobs) (thinks ? held_thinking_ : held_content_).push_back(std::move(info));
  return take(std::move(text), Finish::kNone);
}

AnswerDelta AnswerText::finish(Finish why) {
  if (ended()) return {};
  ReasoningText text;
  if (splitter_) {
    text = splitter_->finish();
  } else {
    text.content = decoder_->finish();
  }
  AnswerDelta out = take(std::move(text), why);
  if (why == Finish::kStop && !out.tool_calls.empty()) why = Finish::kToolCalls;
  if (finish_ == Finish::kNone) finish_ = out.finish = why;
  return out;
}

}  // namespace ponder
