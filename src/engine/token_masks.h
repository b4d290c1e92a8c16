// Which tokens of a vocabulary may come next, for one grammar; the part that is worth keeping
// between tokens, answers and requests.
//
// The vocabulary's tree is walked together with the automaton. A walk knows only the top frame of
// a stack: tokens that stay within its rule are decided, whatever lies below; where the rule ends
// inside a token the walk leaves an exit, and the walk for the next frame starts from the exits of
// the one above. Both are kept, so that most masks are a few unions of bit sets. (The split into
// tokens that need the rest of the stack and those that do not is xgrammar's, arXiv:2411.15100.)
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/status.h"
#include "engine/grammar.h"
#include "engine/grammar_machine.h"
#include "engine/stack_sets.h"
#include "engine/token_trie.h"

namespace ponder {

// Every method may be called from several threads at once.
class TokenMasks {
 public:
  // For one mask, in units of StackSets::work(): a JSON schema takes thousands, an expression made
  // to be ambiguous any number.
  static constexpr uint64_t kMaxWork = uint64_t{1} << 22;
  static constexpr size_t kKeepBytes = size_t{32} << 20;  // of kept walks, and again of automaton

  TokenMasks(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie);

  const Grammar& grammar() const { return *grammar_; }
  const TokenTrie& trie() const { return *trie_; }

  // Sets the bits (token id / 64, id % 64) of the tokens that may come where `set` stands; leaves
  // the others. kExhausted: kMaxWork; this does not depend on what is kept. REQUIRES: trie's
  // mask_words() words
  Status add_allowed(const StackPool& pool, const StackSet& set, std::span<uint64_t> bits);

 private:
  // The result of one walk.
  struct Walk {
    std::vector<uint64_t> bits;   // if many tokens are allowed,
    std::vector<int32_t> tokens;  // else these
    uint32_t exits = 0;           // index in exits_; 0 is "none"
    uint64_t work = 0;
  };
  struct Key {
    uint32_t exits = 0, state = 0, count = 0;
    bool last = false;  // nothing lies below the frame: exits are of no use
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const {
      uint64_t h = (key.exits * 2 + key.last) * 0x9E3779B97F4A7C15u ^ key.state;
      h = h * 0xC2B2AE3D27D4EB4Fu ^ key.count;
      return (h * 0x165667B19E3779F9u) >> 20;
    }
  };

  static constexpr uint32_t kNoExits = 0;
  static constexpr uint32_t kFromRoot = 1;  // the exit list that holds the tree's root alone

  void forget();
  uint32_t clamp(uint32_t state, uint32_t count) const;
  const Walk* walk(const Key& key, uint64_t work_left);
  bool walk_below(uint32_t node, uint32_t start, bool last, uint64_t work_left);
  uint32_t intern_exits();
  static Status too_much();

  const std::shared_ptr<const Grammar> grammar_;
  const std::shared_ptr<const TokenTrie> trie_;
  std::mutex mutex_;  // over all below
  StackSets sets_;
  std::unordered_map<Key, Walk, KeyHash> walks_;
  std::vector<std::vector<uint32_t>> exits_;  // lists of the tree's nodes
  std::unordered_multimap<uint64_t, uint32_t> exits_by_hash_;
  size_t kept_bytes_ = 0;
  // Of the walk under way.
  std::vector<uint32_t> path_;  // a set for each depth
  std::vector<int32_t> found_;
  std::vector<uint32_t> found_exits_;
  uint64_t visits_ = 0;
};

}  // namespace ponder
