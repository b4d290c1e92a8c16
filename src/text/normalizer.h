// What is done to text before it is cut: the "normalizer" of a tokenizer.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/regex.h"

namespace ponder {

struct NormalizerStep {
  enum class Kind : uint8_t { kNfc, kNfd, kNfkc, kNfkd, kLowercase, kStrip, kPrepend, kReplace };
  Kind kind = Kind::kNfc;
  std::string text;            // kPrepend: put before text that is not empty; kReplace: put instead
  std::optional<Regex> regex;  // kReplace: of each match
  bool left = true, right = true;  // kStrip: white space at these ends
};

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
