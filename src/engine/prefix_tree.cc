#include "engine/prefix_tree.h"

#include <algorithm>

#include "core/rng.h"

namespace ponder {
namespace {

constexpr int32_t kNone = -2;

std::span<const int32_t> unit_of(std::span<const int32_t> tokens, size_t index) {
  constexpr auto kUnit = static_cast<size_t>(PrefixTree::kUnit);
  return tokens.subspan(index * kUnit, kUnit);
}

}  // namespace

size_t PrefixTree::KeyHash::operator()(const Key& key) const {
  uint64_t h = key.hash ^ (key.salt * 0x9E3779B97F4A7C15u);
  h = (h ^ static_cast<uint32_t>(key.parent)) * 0xC2B2AE3D27D4EB4Fu;
  return h ^ (h >> 29);
}

PrefixTree::Key PrefixTree::key_of(int32_t parent, uint64_t salt, std::span<const int32_t> unit) {
  return {parent, salt,
          hash64({reinterpret_cast<const char*>(unit.data()), unit.size() * sizeof(int32_t)})};
}

int32_t PrefixTree::child(const Key& key, std::span<const int32_t> unit) {
  const auto found = index_.find(key);
  if (found == index_.end()) return kNone;
  // Other tokens of the same hash: as good as unknown.
  return std::equal(unit.begin(), unit.end(), node(found->second).tokens.begin()) ? found->second
                                                                                  : kNone;
}

void PrefixTree::use(int32_t index, uint64_t time) {
  Node& n = node(index);
  if (n.children == 0) {
    leaves_.erase({n.used, index});
    leaves_.insert({time, index});
  }
  n.used = time;
}

std::vector<int32_t> PrefixTree::find(uint64_t salt, std::span<const int32_t> tokens) {
  std::vector<int32_t> pages;
  const uint64_t now = ++time_;
  int32_t at = kRoot;
  for (size_t i = 0; i < tokens.size() / static_cast<size_t>(kUnit); ++i) {
    const auto unit = unit_of(tokens, i);
    at = child(key_of(at, salt, unit), unit);
    if (at == kNone) break;
    use(at, now);
    pages.push_back(node(at).page);
  }
  return pages;
}

int32_t PrefixTree::add(const Key& key, std::span<const int32_t> unit, int32_t page) {
  int32_t index;
  if (unused_.empty()) {
    index = static_cast<int32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    index = unused_.back();
    unused_.pop_back();
  }
  Node& n = node(index);
  n.key = key;
  std::copy(unit.begin(), unit.end(), n.tokens.begin());
  n.page = page;
  n.children = 0;
  n.used = time_;
  index_.emplace(key, index);
  leaves_.insert({n.used, index});
  if (key.parent != kRoot) {
    Node& parent = node(key.parent);
    if (parent.children++ == 0) leaves_.erase({parent.used, key.parent});
  }
  return index;
}

void PrefixTree::insert(uint64_t salt, std::span<const int32_t> tokens, PageList& list) {
  const uint64_t now = ++time_;
  int32_t at = kRoot;
  for (size_t i = 0; i < tokens.size() / static_cast<size_t>(kUnit); ++i) {
    const auto unit = unit_of(tokens, i);
    const Key key = key_of(at, salt, unit);
    const int32_t own = list.data()[i];
    int32_t next = child(key, unit);
    if (next == kNone) {
      if (index_.contains(key)) return;  // other tokens of the same hash
      table_.keep(own);
      next = add(key, unit, own);
    } else {
      if (node(next).page != own) list.replace(static_cast<int64_t>(i), node(next).page);
      use(next, now);
    }
    at = next;
  }
}

int32_t PrefixTree::extend(uint64_t salt, std::span<const int32_t> tokens, int64_t known) {
  if (table_.free_pages() == 0) return -1;
  int32_t at = kRoot;
  for (int64_t i = 0; i <= known; ++i) {
    const auto unit = unit_of(tokens, static_cast<size_t>(i));
    const Key key = key_of(at, salt, unit);
    at = child(key, unit);
    if (i < known) {
      PONDER_CHECK(at != kNone);
      continue;
    }
    if (at != kNone || index_.contains(key)) return -1;
    const int32_t page = table_.keep_new();
    add(key, unit, page);
    return page;
  }
  return -1;
}

void PrefixTree::remove(int32_t index) {
  Node& n = node(index);
  PONDER_CHECK(n.children == 0);
  leaves_.erase({n.used, index});
  index_.erase(n.key);
  table_.let_go(n.page);
  if (n.key.parent != kRoot) {
    Node& parent = node(n.key.parent);
    if (--parent.children == 0) leaves_.insert({parent.used, n.key.parent});
  }
  unused_.push_back(index);
}

void PrefixTree::evict(int64_t pages) {
  while (table_.free_pages() < pages && table_.idle_pages() > 0) {
    // Leaves in use may be the longest unused ones: a long answer reads its beginning all the time.
    const auto idle = std::find_if(leaves_.begin(), leaves_.end(), [&](const auto& leaf) {
      return table_.is_idle(node(leaf.second).page);
    });
    if (idle == leaves_.end()) return;
    remove(idle->second);
  }
}

void PrefixTree::clear() {
  while (!leaves_.empty()) remove(leaves_.begin()->second);
}

}  // namespace ponder
