// SentencePiece's unigram model: of all ways to cut a piece into tokens, the one with the highest
// sum of scores (log probabilities). Kudo 2018; details as Hugging Face's tokenizers does them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/token_table.h"

namespace ponder {

struct UnigramOptions {
  int32_t unknown = -1;         // what becomes of characters that no token has; -1: left out
  bool byte_fallback = false;   // ... or their bytes as tokens <0x00>..<0xFF>
  double unknown_penalty = 10;  // an unknown character scores this much below the lowest token
};

// Work space of one thread.
struct UnigramSpace {
  struct Best {  // of all ways to cut what ends at some byte
    double score;
    uint32_t start;  // of the last token
    int32_t id;      // -1: none yet; -2: unknown
  };
  std::vector<Best> best;
  std::vector<uint32_t> ends;
};

class Unigram {
 public:
  Unigram() = default;
  // tokens[id] with scores[id]; an empty token never comes out of text. REQUIRES: as many scores as
  // tokens, finite
  Unigram(const std::vector<std::string>& tokens, const std::vector<double>& scores,
          const UnigramOptions& options);

  // Appends the ids of `piece` to `out`, in time proportional to its size. Of equal sums the cut
  // whose last token is longer wins. REQUIRES: UTF-8, less than 1 GiB
  void encode(std::string_view piece, UnigramSpace& space, std::vector<int32_t>& out) const;

 private:
  // A trie over bytes; its edges are one hash table.
  struct Edge {
    uint64_t key;  // node << 8 | byte; kFree
    uint32_t node;
  };
  static constexpr uint64_t kFree = ~uint64_t{0};
  uint32_t child(uint32_t node, unsigned char byte) const;  // 0: none
  void insert(std::string_view token, int32_t id);
  void rehash(size_t size);
  void put_unknown(std::string_view text, std::vector<int32_t>& out) const;

  UnigramOptions options_;
  std::vector<double> scores_;
  double unknown_score_ = 0;
  std::array<int32_t, 256> bytes_{};        // of <0xXX>; -1: none
  std::vector<Edge> edges_ = {{kFree, 0}};  // a power of two
  size_t edge_count_ = 0;
  std::vector<int32_t> ends_ = {-1};  // [node]: the token that ends there, or -1
};

}  // namespace ponder
