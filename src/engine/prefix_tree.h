// Keys and values of beginnings that were computed before, in whole pages, for whoever begins alike. A
// tree: a node is a page together with all that comes before it, and is found by its parent and its
// own tokens. What nobody uses goes when pages are wanted, the longest unused first and ends before
// what they continue.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/page_table.h"

namespace ponder {

class PrefixTree {
 public:
  static constexpr int64_t kUnit = KvCache::kPageKeys;  // tokens of a page

  // The table must outlive the tree.
  explicit PrefixTree(PageTable& table) : table_(table) {}
  ~PrefixTree() { clear(); }
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  // The pages of the longest known beginning of `tokens` under `salt`, whole units only; they count
  // as used now. They may go with the next call of evict(): attach them first.
  std::vector<int32_t> find(uint64_t salt, std::span<const int32_t> tokens);

  // Makes the units of `tokens` known, whose pages `list` holds in order; those known already are
  // put in place of the list's own. REQUIRES: list holds tokens.size() / kUnit pages, all written,
  // and began at position 0 (PageList::shared() covers what it covers)
  void insert(uint64_t salt, std::span<const int32_t> tokens, PageList& list);
  // One unit more behind the `known` first units of `tokens`, which find() has just returned, in a
  // free page that the caller is to fill. -1 if none is free or the unit cannot be kept.
  int32_t extend(uint64_t salt, std::span<const int32_t> tokens, int64_t known);

  // Lets idle pages go until `pages` are free in the table, as far as that is possible.
  void evict(int64_t pages);
  // Forgets all. Pages that lists hold stay theirs.
  void clear();
  int64_t size() const { return static_cast<int64_t>(nodes_.size() - unused_.size()); }

 private:
  static constexpr int32_t kRoot = -1;
  struct Key {
    int32_t parent;  // a node, or kRoot
    uint64_t salt;
    uint64_t hash;  // of the tokens
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  struct Node {
    Key key{};
    std::array<int32_t, kUnit> tokens{};
    int32_t page = 0;
    int32_t children = 0;
    uint64_t used = 0;  // the last time
  };

  Node& node(int32_t index) { return nodes_[static_cast<size_t>(index)]; }
  static Key key_of(int32_t parent, uint64_t salt, std::span<const int32_t> unit);
  // kRoot - 1 if there is none.
  int32_t child(const Key& key, std::span<const int32_t> unit);
  int32_t add(const Key& key, std::span<const int32_t> unit, int32_t page);
  void use(int32_t index, uint64_t time);
  void remove(int32_t index);

  PageTable& table_;
  std::vector<Node> nodes_;
  std::vector<int32_t> unused_;  // places in nodes_
  std::unordered_map<Key, int32_t, KeyHash> index_;
  std::set<std::pair<uint64_t, int32_t>> leaves_;  // (used, node)
  uint64_t time_ = 0;
};

}  // namespace ponder
