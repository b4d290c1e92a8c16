// Tokenizers in GGUF files: from a Hugging Face folder into the metadata, and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "io/gguf.h"
#include "text/tokenizer.h"

namespace ponder {

// Sets the tokenizer.* keys for a tokenizer.json and, unless empty, its tokenizer_config.json.
// `rows` of the embedding that have no token get the unused tokens [PADn], as llama.cpp expects.
//
// GGUF names the way that text is cut (tokenizer.ggml.pre) rather than describing it. The name is
// found by trial, as llama.cpp's converter does it: the first that cuts a text of all sorts into
// the same pieces. Where none does, or where added tokens behave otherwise, the files themselves go
// into ponder.tokenizer_json and ponder.tokenizer_config_json, beside an approximation for other
// programs. kInvalid if there are more tokens than rows.
Status tokenizer_json_to_gguf(std::string_view json, std::string_view config_json, int64_t rows,
                              GgufMetadata& metadata);

// The same for the files in `folder`, chat_template.jinja among them.
Status tokenizer_folder_to_gguf(const std::string& folder, int64_t rows, GgufMetadata& metadata);

// From ponder.tokenizer_json if it is there, else from tokenizer.ggml.*.
Result<Tokenizer> tokenizer_from_gguf(const GgufMetadata& metadata);

// A model's tokenizer, wherever it is: in a GGUF file or in a folder.
Result<Tokenizer> load_tokenizer(const std::string& path);

}  // namespace ponder
