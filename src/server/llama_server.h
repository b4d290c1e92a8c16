// llama-server's own routes: completions of plain text, tokens, templates, slots and properties.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/dialect.h"
#include "server/fields.h"
#include "text/tokenizer.h"

namespace ponder {

// {"error": {"code", "message", "type"}}
WebReply llama_server_error(const ApiError& error);

// What /completion and /infill are answered with beside the text.
struct LlamaReplyOptions {
  bool list = false;           // several prompts were asked for
  bool probabilities = false;  // n_probs
  bool tokens = false;         // return_tokens
  std::vector<TextPrompt> prompts;
  std::string settings;  // generation_settings, as JSON
};
std::unique_ptr<ReplyFormat> llama_server_reply(LlamaReplyOptions options);

// A text, or a list of token ids and texts between them: /completion's `prompt`, /tokenize's `content`.
// Parts of one text, or of ids alone. False: it is neither.
using MixedText = std::vector<TextPrompt>;
bool read_mixed(const Json& value, MixedText& out);
// Special tokens of the beginning come before a text alone, not before ids.
std::vector<int32_t> mixed_ids(const Tokenizer& tokenizer, const MixedText& parts,
                               const EncodeOptions& options);

// POST /completion and POST /infill.
void llama_completion(Call call, bool infill);
// POST /tokenize, /detokenize, /apply-template.
void llama_tokenize(const Call& call);
void llama_detokenize(const Call& call);
void llama_apply_template(const Call& call);

}  // namespace ponder
