// BERT's WordPiece: the longest token that a word begins with, then the longest that the rest
// begins with, and so on; a word that does not come out whole is the unknown token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/token_table.h"

namespace ponder {

struct WordPieceOptions {
  int32_t unknown = -1;           // -1: left out
  std::string before = {};        // what the vocabulary puts before the start of a word
  std::string continuing = "##";  // ... and before what continues one
  size_t longest_word = 100;      // characters; a longer word is unknown
};

class WordPiece {
 public:
  WordPiece() = default;
  // tokens[id]; an empty token never comes out of text.
  WordPiece(const std::vector<std::string>& tokens, const WordPieceOptions& options);

  // Appends the ids of `word` to `out`. REQUIRES: UTF-8
  void encode(std::string_view word, std::vector<int32_t>& out) const;

 private:
  WordPieceOptions options_;
  TokenTable tokens_;
  size_t longest_token_ = 0;  // bytes
};

}  // namespace ponder
