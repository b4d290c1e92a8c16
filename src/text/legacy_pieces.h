// Vocabularies of files older than GGUF (GGML, GGMF, GGJT; llama2.c's tokenizer.bin): SentencePiece
// pieces with scores, nothing more.
#pragma once

#include <span>
#include <string>

#include "core/status.h"
#include "io/gguf.h"

namespace ponder {

// Sets the tokenizer.* keys for pieces[id] with scores[id] (none at all: all are 0, as in the oldest
// files). Ids 0, 1 and 2 are the unknown token, BOS and EOS, whatever their pieces say. A space in a
// piece is a space or U+2581; the byte b is id 3 + b, as that byte or as <0xXX>. kInvalid: fewer
// than 3 pieces, another number of scores than pieces.
Status pieces_to_gguf(std::span<const std::string> pieces, std::span<const float> scores,
                      GgufMetadata& metadata);

}  // namespace ponder
