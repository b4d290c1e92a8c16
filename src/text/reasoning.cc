#include "text/reasoning.h"

#include <algorithm>

namespace ponder {
namespace {

constexpr std::string_view kThinkText = "<think>", kEndThinkText = "</think>";
constexpr std::string_view kBlanks = " \t\r\n";

}  // namespace

ReasoningSplitter::ReasoningSplitter(const Tokenizer& tokenizer, bool begins_thinking)
    : decoder_(tokenizer, /*skip_special=*/true),
      think_(tokenizer.id_of(kThinkText)),
      end_think_(tokenizer.id_of(kEndThinkText)),
      answer_(tokenizer.id_of("<answer>")),
      end_answer_(tokenizer.id_of("</answer>")),
      spelled_(end_think_ < 0),
      thinking_(begins_thinking),
      thought_(begins_thinking) {}

ReasoningSplitter::Mark ReasoningSplitter::mark_of(int32_t id) const {
  if (id < 0) return Mark::kNone;
  if (id == think_) return Mark::kThink;
  if (id == end_think_) return Mark::kEndThink;
  return id == answer_ || id == end_answer_ ? Mark::kAnswer : Mark::kNone;
}

void ReasoningSplitter::apply(Mark mark) {
  if (mark == Mark::kThink) thinking_ = true;
  if (mark == Mark::kEndThink) thinking_ = false;
  thought_ = true;
  blank_ = true;
}

void ReasoningSplitter::put(std::string_view text, ReasoningText& out) {
  if (blank_) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    if (text.empty()) return;
    blank_ = false;
  }
  (thinking_ ? out.thinking : out.content) += text;
}

// Text of a vocabulary without mark tokens. Only the mark that can come next is looked for: the end while thinking, the
// beginning before anything was said. So an answer that speaks about <think> is not cut.
void ReasoningSplitter::watch(std::string_view text, bool last, ReasoningText& out) {
  held_ += text;
  while (!held_.empty()) {
    const bool may_begin = !thinking_ && blank_ && !thought_;
    if (!thinking_ && !may_begin) break;
    const std::string_view mark = thinking_ ? kEndThinkText : kThinkText;
    if (may_begin) {  // only at the very start, after blanks
      const size_t start = std::min(held_.find_first_not_of(kBlanks), held_.size());
      const std::string_view rest = std::string_view(held_).substr(start);
      if (rest.starts_with(mark)) {
        held_.erase(0, start + mark.size());
        apply(Mark::kThink);
        continue;
      }
      if (!last && mark.starts_with(rest)) return;
      break;
    }
    const size_t at = held_.find(mark);
    if (at != std::string::npos) {
      put(std::string_view(held_).substr(0, at), out);
      held_.erase(0, at + mark.size());
      apply(Mark::kEndThink);
      continue;
    }
    size_t keep = std::min(held_.size(), mark.size() - 1);  // the longest end that begins the mark
    while (keep > 0 && !mark.starts_with(std::string_view(held_).substr(held_.size() - keep)))
      --keep;
    if (last) keep = 0;
    put(std::string_view(held_).substr(0, held_.size() - keep), out);
    held_.erase(0, held_.size() - keep);
    return;
  }
  put(held_, out);
  held_.clear();
}

ReasoningText ReasoningSplitter::push(int32_t id) {
  ReasoningText out;
  const Mark mark = mark_of(id);
  if (mark != Mark::kNone) {
    put(decoder_.finish(), out);
    apply(mark);
    return out;
  }
  if (thinking_) ++thinking_tokens_;
  const std::string text = decoder_.push(id);
  if (spelled_) {
    watch(text, false, out);
  } else {
    put(text, out);
  }
  return out;
}

ReasoningText ReasoningSplitter::finish() {
  ReasoningText out;
  const std::string text = decoder_.finish();
  if (spelled_) {
    watch(text, true, out);
  } else {
    put(text, out);
  }
  return out;
}

size_t prompt_opens_thinking(std::string_view prompt) {
  const size_t end = prompt.find_last_not_of(kBlanks);
  if (end == std::string_view::npos) return 0;
  const std::string_view text = prompt.substr(0, end + 1);
  if (!text.ends_with(kThinkText)) return 0;
  return prompt.size() - text.size() + kThinkText.size();
}

}  // namespace ponder
