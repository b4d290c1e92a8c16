// Text to token ids and back, as Hugging Face's tokenizers and llama.cpp do it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace ponder {

class GgufMetadata;
struct TokenizerSpec;

struct EncodeOptions {
  bool add_special = true;    // what the file's post-processor adds (BOS)
  bool parse_special = true;  // control tokens written in the text are those tokens; off: plain
                              // text, for text from outside (see AddedToken::control)
};

// Immutable and cheap to copy; every method may be called from several threads at once.
class Tokenizer {
 public:
  // The folder's tokenizer.json (required) and tokenizer_config.json. Errors name the file.
  static Result<Tokenizer> load_folder(const std::string& folder);
  // Their contents; `config_json` may be empty.
  static Result<Tokenizer> load_json(std::string_view json, std::string_view config_json = {});
  // A GGUF file's metadata.
  static Result<Tokenizer> load_gguf(const GgufMetadata& metadata);
  // pieces[id] with scores[id], of a file older than GGUF; see text/legacy_pieces.h.
  static Result<Tokenizer> from_pieces(std::span<const std::string> pieces,
                                       std::span<const float> scores);
  static Result<Tokenizer> create(TokenizerSpec spec);

  // The ids of `text`, which is UTF-8; each error in it (see text/utf8.h) is read as U+FFFD. A
  // character that the vocabulary lacks becomes the unknown token or, if there is none, nothing.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  // The text of `ids`, always UTF-8: bytes that make no character come out as U+FFFD. Ids that do
  // not exist are left out, as are special tokens on request.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  // Ids are 0..vocab_size()-1, holes included. A model's embedding may have more rows.
  int32_t vocab_size() const;
  // The token as its file writes it ("Ġthe", "<0x0A>"); empty for holes and ids out of range.
  std::string_view token_text(int32_t id) const;
  // The bytes it stands for in a text; perhaps part of a character.
  std::string_view token_bytes(int32_t id) const;
  // The token that the file writes so; -1 if there is none.
  int32_t id_of(std::string_view token_text) const;
  bool is_special(int32_t id) const;  // left out by decode(skip_special)
  bool is_control(int32_t id) const;  // not recognised without parse_special

  // From tokenizer_config.json; -1 if it names none.
  int32_t bos_id() const;
  int32_t eos_id() const;
  int32_t pad_id() const;
  int32_t unk_id() const;
  const std::string& chat_template() const;  // Jinja; empty if there is none

 private:
  friend class StreamDecoder;
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// Decodes token by token. What it hands out is whole characters; all of it together equals
// decode() of the same ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool skip_special = false)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

  // The text that became certain with this token; often empty in the middle of a character.
  std::string push(int32_t id);
  // What was held back, as U+FFFD. The decoder is then as new.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  bool at_start_ = true;  // spaces to strip are still ahead
  int stripped_ = 0;
  std::string held_;  // 0..3 bytes of an unfinished character
};

}  // namespace ponder
