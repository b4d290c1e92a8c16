// SentencePiece's table of replacements ("precompiled charsmap"): how models made with it turn text
// into their own normal form. A Darts double array (Yata 2008) over what is replaced, then the
// replacements, each ended by a zero byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace ponder {

class Charsmap {
 public:
  // `bytes`: the array's size in bytes (32 bits, little endian), the array, the replacements.
  static Result<Charsmap> parse(std::string_view bytes);

  // From left to right the longest text that has a replacement is replaced: SentencePiece itself.
  std::string apply(std::string_view text) const;
  // Whole grapheme clusters of less than 6 bytes, else characters, each by the shortest prefix that
  // has a replacement: what Hugging Face's tokenizers does with the same table.
  std::string apply_to_clusters(std::string_view text) const;

 private:
  struct Match {
    size_t size = 0;  // bytes replaced; 0: none
    std::string_view with;
  };
  Match match(std::string_view text, bool longest) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

// The bytes that base64 `text` stands for (RFC 4648, padded); kInvalid for anything else.
Result<std::string> decode_base64(std::string_view text);

}  // namespace ponder
