// The tokenizer of a GGUF file as the files of a Hugging Face folder.
#pragma once

#include <string>

#include "core/status.h"
#include "io/gguf.h"

namespace ponder {

// The last two may be empty; a GGUF file's template stands in its tokenizer_config_json.
struct TokenizerFiles {
  std::string tokenizer_json, tokenizer_config_json, chat_template;
};

// ponder.tokenizer_json where the file has it; else made from tokenizer.ggml.*: byte-level merges as
// GPT-2's and SentencePiece's with scores. kUnsupported for other kinds, kNotFound without a tokenizer.
Result<TokenizerFiles> tokenizer_files_from_gguf(const GgufMetadata& metadata);

}  // namespace ponder
