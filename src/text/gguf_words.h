// The ways to cut text that GGUF files name in tokenizer.ggml.pre. The names are llama.cpp's; the
// expressions are those of the models' own tokenizer.json.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace ponder {

struct GgufWords {
  std::vector<std::string_view> names;
  std::vector<std::string_view> cuts;  // applied in turn; matches and what lies between are pieces
  bool nfc = false;                    // the model's normaliser
  bool ignore_merges = false;          // a piece that is a token is that token
  bool add_bos = false;                // unless the file says otherwise
  bool characters = false;             // merges over characters with U+2581 for spaces, not bytes
  bool add_sep = false;                // <s> text </s>: the separator too
};

// kUnsupported for an unknown name; the message names it and lists the known ones.
Result<const GgufWords*> find_gguf_words(std::string_view name);

}  // namespace ponder
