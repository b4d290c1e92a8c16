// A vocabulary as a tree over bytes: built once for a tokenizer, shared by everything that asks
// which tokens may come next.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ponder {

class Tokenizer;

// Immutable.
class TokenTrie {
 public:
  // Nodes lie in preorder, the root first: below node i are the nodes i + 1 .. end - 1.
  struct Node {
    uint64_t below = 0;  // which byte groups occur below this node
    uint32_t end = 0;
    uint32_t first_token = 0;  // tokens()[first_token ..] end here, up to the next node's first
    uint16_t depth = 0;        // bytes from the root
    uint16_t height = 0;       // most bytes to a node below
    uint8_t byte = 0;
  };
  static constexpr size_t kMaxTokenBytes = 4096;  // a longer token is left out

  // All tokens that stand for text: neither special nor control tokens, nor the ids in `excluded`.
  explicit TokenTrie(const Tokenizer& tokenizer, std::span<const int32_t> excluded = {});
  // The bytes of each id; empty ones are left out.
  explicit TokenTrie(std::span<const std::string_view> token_bytes);

  std::span<const Node> nodes() const { return {nodes_.data(), nodes_.size() - 1}; }
  // The tokens that end at a node; those at or below it.
  std::span<const int32_t> tokens_at(uint32_t node) const {
    return tokens(nodes_[node].first_token, nodes_[node + 1].first_token);
  }
  std::span<const int32_t> tokens_from(uint32_t node) const {
    return tokens(nodes_[node].first_token, nodes_[nodes_[node].end].first_token);
  }
  // The bytes of a token, empty if it is left out.
  std::string_view bytes(int32_t id) const;
  int32_t vocab_size() const { return static_cast<int32_t>(ends_.size()) - 1; }
  size_t mask_words() const { return (static_cast<size_t>(vocab_size()) + 63) / 64; }
  size_t longest() const { return longest_; }  // bytes of the longest token

  // Bytes fall into groups: letters of a case, digits, each other ASCII sign, ... Of the bytes of
  // longer characters, those that make UTF-8 of what comes before them in the token are kInChar and
  // the others kBroken, which is also what a node within a character has below it: it cannot be
  // looked at without what is above.
  static constexpr uint8_t kInChar = 62, kBroken = 63;
  // The groups of the ASCII bytes.
  static const std::array<uint8_t, 128>& ascii_groups();

 private:
  void build(std::span<const std::string_view> token_bytes);
  std::span<const int32_t> tokens(uint32_t first, uint32_t end) const {
    return {tokens_.data() + first, end - first};
  }

  std::vector<Node> nodes_;      // one more at the end, to close the token ranges
  std::vector<int32_t> tokens_;  // in the order of the nodes
  std::vector<char> text_;       // of all tokens, by id
  std::vector<uint32_t> ends_;   // vocab_size + 1: the token id has text_[ends_[id] .. ends_[id+1])
  size_t longest_ = 0;
};

}  // namespace ponder
