// How text is cut into the pieces that are encoded one by one: the "pre_tokenizer" of a
// tokenizer.json.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/regex.h"

namespace ponder {

// What becomes of the matches of a Split.
enum class SplitBehavior : uint8_t {
  kIsolated,  // pieces of their own
  kRemoved,
  kMergedWithPrevious,  // the end of the piece before
  kMergedWithNext,      // the beginning of the piece after
  kContiguous,          // pieces of their own, neighbours as one
};

// One step. Order within it: replace spaces, put `prefix` in front, split.
struct PreTokenizerStep {
  enum class Prefix : uint8_t { kNever, kFirst, kAlways };
  std::string space_as;          // not empty: what stands for ' ' (Metaspace)
  std::string prefix;            // put in front of a piece that does not begin with it ...
  Prefix when = Prefix::kNever;  // ... never, only at the very start of the text, or always
  std::optional<Regex> regex;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // what matches and what does not change places
};

// The pieces of one text and what they point into.
struct Pieces {
  std::vector<std::string_view> list;
  std::deque<std::string> owned;       // texts that were changed; deque: they never move
  std::vector<std::string_view> next;  // work space
  MatchSpace space;
};

// A character that cuts words in BERT and in tokenizer.json's "Punctuation".
inline constexpr std::string_view kPunctuation = R"([!-/:-@\[-`{-~\p{P}])";

// BERT's words: what stands between white space, and each punctuation character by itself.
Result<std::vector<PreTokenizerStep>> bert_steps();

class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<PreTokenizerStep> steps) : steps_(std::move(steps)) {}

  // Puts the pieces of `text` in pieces.list (what was there is dropped; pieces.owned stays). They
  // point into `text` and pieces.owned; none is empty. `first`: `text` begins the whole text.
  // REQUIRES: text is UTF-8
  void cut(std::string_view text, bool first, Pieces& pieces) const;

 private:
  std::vector<PreTokenizerStep> steps_;
};

}  // namespace ponder
