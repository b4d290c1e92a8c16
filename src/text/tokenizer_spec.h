// All that makes a tokenizer, whatever file it came from: loaders fill this, Tokenizer runs it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/unigram.h"
#include "text/word_piece.h"

namespace ponder {

class GgufMetadata;

// How GPT-2 cuts text into words: what ByteLevel does unless told not to.
inline constexpr std::string_view kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// U+2581: how SentencePiece writes a space.
inline constexpr char kSpaceSign[] = "\xE2\x96\x81";

// No known vocabulary reaches 300,000; the bound keeps tables small whatever a file claims.
inline constexpr int32_t kMaxVocabulary = 1 << 20;

enum class TokenModel : uint8_t { kBpe, kUnigram, kWordPiece };

struct TokenizerSpec {
  std::vector<std::string> vocab;  // [id]: the token as its file writes it; empty: no such token
  std::vector<AddedToken> added;   // ids within `vocab`, texts set there
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;

  TokenModel model = TokenModel::kBpe;
  std::vector<BpeMerge> merges;  // kBpe: in rank order
  BpeOptions bpe;                // by_bytes: vocab is in the byte alphabet
  // Characters that merges know and the vocabulary does not; their ids follow the vocabulary's.
  std::vector<std::string> symbols;
  std::vector<double> scores;  // kUnigram: [id], finite
  UnigramOptions unigram;
  WordPieceOptions word_piece;

  // The bytes of a token are its text, in turn
  bool decode_byte_alphabet = false;   // with the byte alphabet undone,
  std::string decode_from, decode_to;  // with each `decode_from` as `decode_to` (unless empty),
  bool decode_byte_tokens = false;     // or, for <0x00>..<0xFF>, that byte;
  bool decode_words = false;  // or, with a space in front unless it begins with decode_continuing,
  std::string decode_continuing;  // ... which goes,
  bool decode_clean = false;      // (and no space before punctuation and in "do n't")
  int decode_strip_spaces = 0;    // and of the whole text up to so many leading spaces go.

  std::vector<int32_t> prefix, suffix;             // what the post-processor puts around a text
  int32_t bos = -1, eos = -1, pad = -1, unk = -1;  // -1: none
  std::string chat_template;                       // Jinja; empty: none
};

// From a Hugging Face tokenizer.json and, unless empty, tokenizer_config.json. Errors name the key
// and what was expected.
Result<TokenizerSpec> parse_tokenizer_json(std::string_view json, std::string_view config_json);

// From a GGUF file's metadata, "tokenizer.ggml.*": model "gpt2" (merges over bytes, cut as
// tokenizer.ggml.pre names), "gemma4" (merges over characters), "llama" (SentencePiece with scores),
// "t5" (SentencePiece's unigram) and "bert" (WordPiece). Errors name the key.
Result<TokenizerSpec> parse_tokenizer_gguf(const GgufMetadata& metadata);

// The byte alphabet of GPT-2 writes each byte as one printable character. The bytes that `text`
// stands for; false if it has a character outside the alphabet.
bool undo_byte_alphabet(std::string_view text, std::string& bytes);

}  // namespace ponder
