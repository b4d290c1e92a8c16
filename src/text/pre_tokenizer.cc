#include "text/pre_tokenizer.h"

#include "text/utf8.h"

namespace ponder {
namespace {

struct Span {
  size_t start, end;
  bool match;
};

// `text` as matches and what lies between them, in order.
std::vector<Span> spans_of(std::string_view text, const PreTokenizerStep& step, MatchSpace& space) {
  std::vector<Span> spans;
  size_t done = 0, from = 0, start = 0, end = 0;
  while (from <= text.size() && step.regex->find(text, from, &start, &end, space)) {
    if (start > done) spans.push_back({done, start, step.invert});
    if (end > start) spans.push_back({start, end, !step.invert});
    done = end;
    from = end;
    if (start == end) {  // an empty match: go on one character later
      if (end == text.size()) break;
      from += utf8_at(text, end).size;
    }
  }
  if (done < text.size()) spans.push_back({done, text.size(), step.invert});
  return spans;
}

// The common case without the list of spans.
void cut_isolated(std::string_view text, const PreTokenizerStep& step, Pieces& pieces) {
  size_t done = 0, start = 0, end = 0;
  while (done < text.size() && step.regex->find(text, done, &start, &end, pieces.space)) {
    if (start == end) {
      for (const Span& span : spans_of(text.substr(done), step, pieces.space)) {
        pieces.next.push_back(text.substr(done + span.start, span.end - span.start));
      }
      return;
    }
    if (start > done) pieces.next.push_back(text.substr(done, start - done));
    pieces.next.push_back(text.substr(start, end - start));
    done = end;
  }
  if (done < text.size()) pieces.next.push_back(text.substr(done));
}

void cut_piece(std::string_view text, const PreTokenizerStep& step, Pieces& pieces) {
  if (step.behavior == SplitBehavior::kIsolated) return cut_isolated(text, step, pieces);
  std::vector<Span> out;
  const std::vector<Span> spans = spans_of(text, step, pieces.space);
  switch (step.behavior) {
    case SplitBehavior::kIsolated:
      break;
    case SplitBehavior::kRemoved:
      for (const Span& span : spans) {
        if (!span.match) out.push_back(span);
      }
      break;
    case SplitBehavior::kMergedWithPrevious:
    case SplitBehavior::kContiguous: {
      const bool contiguous = step.behavior == SplitBehavior::kContiguous;
      bool before = false;
      for (const Span& span : spans) {
        const bool joins = contiguous ? span.match == before : span.match && !before;
        if (joins && !out.empty()) {
          out.back().end = span.end;
        } else {
          out.push_back(span);
        }
        before = span.match;
      }
      break;
    }
    case SplitBehavior::kMergedWithNext:
      for (size_t i = 0; i < spans.size(); ++i) {
        // Of several matches in a row only the last one joins what follows.
        if (i > 0 && spans[i - 1].match && !spans[i].match) {
          out.back().end = spans[i].end;
        } else {
          out.push_back(spans[i]);
        }
      }
      break;
  }
  for (const Span& span : out)
    pieces.next.push_back(text.substr(span.start, span.end - span.start));
}

// The text with the step's changes: `text` itself or a new string of pieces.owned.
std::string_view changed(std::string_view text, bool first, const PreTokenizerStep& step,
                         Pieces& pieces) {
  std::string out(text);
  if (!step.space_as.empty()) {
    std::string replaced;
    for (const char c : out) {
      if (c == ' ') {
        replaced += step.space_as;
      } else {
        replaced += c;
      }
    }
    out = std::move(replaced);
  }
  using Prefix = PreTokenizerStep::Prefix;
  const bool prefixed = step.when == Prefix::kAlways || (step.when == Prefix::kFirst && first);
  if (prefixed && !out.starts_with(step.prefix)) out = step.prefix + out;
  if (out == text) return text;
  return pieces.owned.emplace_back(std::move(out));
}

}  // namespace

Result<std::vector<PreTokenizerStep>> bert_steps() {
  std::vector<PreTokenizerStep> steps(2);
  ASSIGN_OR_RETURN(steps[0].regex, Regex::compile(R"(\s)"));
  steps[0].behavior = SplitBehavior::kRemoved;
  ASSIGN_OR_RETURN(steps[1].regex, Regex::compile(kPunctuation));
  return steps;
}

void PreTokenizer::cut(std::string_view text, bool first, Pieces& pieces) const {
  pieces.list.clear();
  if (!text.empty()) pieces.list.push_back(text);
  for (const auto& step : steps_) {
    const bool changes = !step.space_as.empty() || step.when != PreTokenizerStep::Prefix::kNever;
    pieces.next.clear();
    for (size_t i = 0; i < pieces.list.size(); ++i) {
      std::string_view piece = pieces.list[i];
      if (changes) piece = changed(piece, first && i == 0, step, pieces);
      if (step.regex) {
        cut_piece(piece, step, pieces);
      } else {
        pieces.next.push_back(piece);
      }
    }
    std::swap(pieces.list, pieces.next);
  }
}

}  // namespace ponder
