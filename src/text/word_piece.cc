#include "text/word_piece.h"

#include <algorithm>

#include "text/utf8.h"

namespace ponder {

WordPiece::WordPiece(const std::vector<std::string>& tokens, const WordPieceOptions& options)
    : options_(options), tokens_(tokens) {
  for (const std::string& token : tokens) longest_token_ = std::max(longest_token_, token.size());
}

void WordPiece::encode(std::string_view word, std::vector<int32_t>& out) const {
  const size_t before = out.size();
  const auto give_up = [&] {
    out.resize(before);
    if (options_.unknown >= 0) out.push_back(options_.unknown);
  };
  size_t characters = 0;
  for (size_t at = 0; at < word.size(); at += utf8_at(word, at).size) {
    if (++characters > options_.longest_word) return give_up();
  }
  const std::string text = options_.before + std::string(word);
  std::string token;
  for (size_t at = 0; at < text.size();) {
    token = at == 0 ? "" : options_.continuing;
    const size_t prefix = token.size();
    token.append(text, at, std::min(text.size() - at, longest_token_));
    int32_t id = -1;
    for (; token.size() > prefix; token.pop_back()) {
      id = tokens_.find(token);
      if (id >= 0) break;
    }
    if (id < 0) return give_up();
    out.push_back(id);
    at += token.size() - prefix;
  }
}

}  // namespace ponder
