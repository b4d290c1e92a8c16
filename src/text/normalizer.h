// What is done to text before it is cut: the "normalizer" of a tokenizer.json.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/charsmap.h"
#include "text/regex.h"

namespace ponder {

struct NormalizerStep {
  enum class Kind : uint8_t {
    kNfc,
    kNfd,
    kNfkc,
    kNfkd,
    kLowercase,
    kStrip,
    kPrepend,
    kReplace,
    kStripAccents,        // characters of category Mn go (BERT's)
    kStripMarks,          // ... and Mc and Me
    kNmt,                 // SentencePiece's: control characters go, odd spaces become spaces
    kCleanText,           // BERT's: control characters and U+FFFD go, white space becomes spaces
    kSpaceIdeographs,     // BERT's: a space on both sides of each Chinese character
    kCharsmap,            // longest match first
    kCharsmapByClusters,  // as Hugging Face's tokenizers
  };
  Kind kind = Kind::kNfc;
  std::string text;            // kPrepend: put before text that is not empty; kReplace: put instead
  std::optional<Regex> regex;  // kReplace: of each match
  std::string literal;         // kReplace without a regex: of each occurrence of this, not empty
  bool left = true, right = true;  // kStrip: white space at these ends
  std::shared_ptr<const Charsmap> charsmap;
};

// `text` with `to` for each occurrence of `from`. REQUIRES: from is not empty
std::string replace_each(std::string_view text, std::string_view from, std::string_view to);

class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  // `text` normalised: `text` itself where nothing changes (the common case, free of copies), else
  // a view of `space`. REQUIRES: text is UTF-8; `space` outlives the result.
  std::string_view apply(std::string_view text, std::string& space) const;

 private:
  std::vector<NormalizerStep> steps_;
};

}  // namespace ponder
