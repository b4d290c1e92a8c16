// Byte-pair encoding: a piece starts as single bytes or characters; of all neighbours that have a
// merge, the pair of the lowest rank (the leftmost of equals) becomes one, until none is left.
// Sennrich et al. 2016; details as Hugging Face's tokenizers does them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/token_table.h"

namespace ponder {

struct BpeMerge {
  int32_t left = 0, right = 0, result = 0;  // ids
  int32_t rank = -1;  // low ones first, of equal ones the leftmost; -1: the place in the list
};

struct BpeOptions {
  bool by_bytes = true;        // pieces start as bytes (the file's byte alphabet undone); else as
                               // characters
  bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges
  bool byte_fallback = false;  // a character without a token: its bytes as tokens <0x00>..<0xFF>
  int32_t unknown = -1;        // ... or else this token; -1: it is left out
  bool fuse_unknown = false;   // one `unknown` for several in a row
  // Ids from here on are characters that merges know and the vocabulary does not: those that remain
  // go the way of characters without a token.
  int32_t first_symbol = INT32_MAX;
};

// Work space of one thread.
struct BpeSpace {
  struct Symbol {
    int32_t id, previous, next;  // the list's neighbours; -1: none
  };
  struct Candidate {
    uint32_t rank;
    int32_t at, result;
  };
  std::vector<int32_t> ids;
  std::vector<int32_t> ranks;
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

class Bpe {
 public:
  Bpe() = default;
  // tokens[id]: the bytes a token stands for; empty: the token never comes out of text. `merges` in
  // rank order; of equal pairs the last counts. REQUIRES: ids within tokens, ranks below 2^31 - 1
  Bpe(const std::vector<std::string>& tokens, std::span<const BpeMerge> merges,
      const BpeOptions& options);

  // Appends the ids of `piece` to `out`, in O(n log n). REQUIRES: UTF-8, less than 1 GiB
  void encode(std::string_view piece, BpeSpace& space, std::vector<int32_t>& out) const;

 private:
  struct Slot {
    uint64_t pair;  // left << 32 | right; kFree
    int32_t rank, result;
  };
  static constexpr uint64_t kFree = ~uint64_t{0};

  const Slot* find(int32_t left, int32_t right) const;  // nullptr: no merge
  void start(std::string_view piece, std::vector<int32_t>& ids) const;
  // Appends what stands for character `c`, which has no token. `after_unknown`: what went before
  // was unknown too; updated.
  void put_unknown(std::string_view c, bool& after_unknown, std::vector<int32_t>& ids) const;
  void merge_short(BpeSpace& space) const;
  void merge_long(BpeSpace& space) const;

  BpeOptions options_;
  TokenTable tokens_;
  std::array<int32_t, 256>
      bytes_{};              // by_bytes: a byte's token; byte_fallback: of <0xXX>; -1: none
  std::vector<Slot> slots_;  // a power of two
  int shift_ = 0;
};

}  // namespace ponder
