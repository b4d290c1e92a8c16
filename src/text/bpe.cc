#include "text/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <climits>

#include "text/utf8.h"

namespace ponder {
namespace {

// Up to here looking at every neighbour again after each merge is faster than a heap.
constexpr size_t kShort = 48;
constexpr int32_t kNoRank = INT32_MAX;

uint64_t pair_of(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(left) << 32) | static_cast<uint32_t>(right);
}

uint64_t scramble(uint64_t pair) { return (pair ^ (pair >> 29)) * 0x9E3779B97F4A7C15u; }

// std heap functions keep the largest in front; ours is the lowest rank, then the leftmost.
bool later(const BpeSpace::Candidate& a, const BpeSpace::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
}

}  // namespace

Bpe::Bpe(const std::vector<std::string>& tokens, std::span<const BpeMerge> merges,
         const BpeOptions& options)
    : options_(options), tokens_(tokens) {
  for (size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(static_cast<unsigned char>(byte));
    bytes_[byte] = options.by_bytes ? tokens_.find(std::string_view(&c, 1))
                                    : tokens_.find(fmt::format("<0x{:02X}>", byte));
  }
  const size_t size = std::bit_ceil(std::max<size_t>(16, merges.size() + merges.size() / 2));
  slots_.assign(size, {kFree, 0, 0});
  shift_ = 64 - std::countr_zero(size);
  PONDER_CHECK(merges.size() < static_cast<size_t>(kNoRank), "too many merges");
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const BpeMerge& merge = merges[rank];
    const uint64_t pair = pair_of(merge.left, merge.right);
    size_t slot = scramble(pair) >> shift_;
    while (slots_[slot].pair != kFree && slots_[slot].pair != pair) slot = (slot + 1) & (size - 1);
    slots_[slot] = {pair, merge.rank < 0 ? static_cast<int32_t>(rank) : merge.rank, merge.result};
  }
}

const Bpe::Slot* Bpe::find(int32_t left, int32_t right) const {
  const uint64_t pair = pair_of(left, right);
  for (size_t slot = scramble(pair) >> shift_;; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].pair == pair) return &slots_[slot];
    if (slots_[slot].pair == kFree) return nullptr;
  }
}

void Bpe::put_unknown(std::string_view c, bool& after_unknown, std::vector<int32_t>& ids) const {
  const auto id_of_byte = [&](char b) { return bytes_[static_cast<unsigned char>(b)]; };
  if (options_.byte_fallback &&
      std::all_of(c.begin(), c.end(), [&](char b) { return id_of_byte(b) >= 0; })) {
    for (const char b : c) ids.push_back(id_of_byte(b));
    after_unknown = false;
  } else if (options_.unknown >= 0) {
    if (!(after_unknown && options_.fuse_unknown)) ids.push_back(options_.unknown);
    after_unknown = true;
  }
}

// The tokens of single bytes or characters.
void Bpe::start(std::string_view piece, std::vector<int32_t>& ids) const {
  ids.clear();
  if (options_.by_bytes) {
    for (const char c : piece) {
      const int32_t id = bytes_[static_cast<unsigned char>(c)];
      if (id >= 0) ids.push_back(id);
    }
    return;
  }
  bool after_unknown = false;
  for (size_t at = 0; at < piece.size();) {
    const std::string_view c = piece.substr(at, utf8_at(piece, at).size);
    at += c.size();
    if (const int32_t id = tokens_.find(c); id >= 0) {
      ids.push_back(id);
      after_unknown = false;
    } else {
      put_unknown(c, after_unknown, ids);
    }
  }
}

void Bpe::merge_short(BpeSpace& space) const {
  auto& ids = space.ids;
  auto& ranks = space.ranks;  // ranks[i]: of the merge of i and i + 1
  const auto rank_at = [&](size_t i) {
    const Slot* slot = find(ids[i], ids[i + 1]);
    return slot != nullptr ? slot->rank : kNoRank;
  };
  ranks.resize(ids.size());
  for (size_t i = 0; i + 1 < ids.size(); ++i) ranks[i] = rank_at(i);
  size_t n = ids.size();
  while (n > 1) {
    const auto best =
        std::min_element(ranks.begin(), ranks.begin() + static_cast<ptrdiff_t>(n - 1));
    if (*best == kNoRank) break;
    const auto at = static_cast<size_t>(best - ranks.begin());
    ids[at] = find(ids[at], ids[at + 1])->result;
    // Close the gap: id at + 1 and the rank of its pair are gone.
    for (size_t i = at + 1; i + 1 < n; ++i) {
      ids[i] = ids[i + 1];
      ranks[i] = ranks[i + 1];
    }
    --n;
    if (at + 1 < n) ranks[at] = rank_at(at);
    if (at > 0) ranks[at - 1] = rank_at(at - 1);
  }
  ids.resize(n);
}

void Bpe::merge_long(BpeSpace& space) const {
  const auto count = static_cast<int32_t>(space.ids.size());
  auto& symbols = space.symbols;
  auto& heap = space.heap;
  heap.clear();
  symbols.resize(space.ids.size());
  for (int32_t i = 0; i < count; ++i) {
    const auto u = static_cast<size_t>(i);
    symbols[u] = {space.ids[u], i - 1, i + 1 < count ? i + 1 : -1};
  }
  const auto symbol = [&](int32_t i) -> BpeSpace::Symbol& {
    return symbols[static_cast<size_t>(i)];
  };
  const auto consider = [&](int32_t at) {
    if (at < 0 || symbol(at).next < 0) return;
    const Slot* slot = find(symbol(at).id, symbol(symbol(at).next).id);
    if (slot == nullptr) return;
    heap.push_back({static_cast<uint32_t>(slot->rank), at, slot->result});
    std::push_heap(heap.begin(), heap.end(), later);
  };
  for (int32_t i = 0; i < count; ++i) consider(i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const BpeSpace::Candidate best = heap.back();
    heap.pop_back();
    auto& left = symbol(best.at);
    // Stale entries: either half has merged with something else since.
    if (left.id < 0 || left.next < 0) continue;
    auto& right = symbol(left.next);
    const Slot* slot = find(left.id, right.id);
    if (slot == nullptr || static_cast<uint32_t>(slot->rank) != best.rank) continue;
    left.id = best.result;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbol(left.next).previous = best.at;
    consider(left.previous);
    consider(best.at);
  }
  space.ids.clear();
  for (int32_t i = 0; i >= 0 && i < count; i = symbol(i).next) space.ids.push_back(symbol(i).id);
}

void Bpe::encode(std::string_view piece, BpeSpace& space, std::vector<int32_t>& out) const {
  PONDER_CHECK(piece.size() < (size_t{1} << 30), "a piece of text of 1 GiB");
  if (options_.ignore_merges) {
    if (const int32_t id = tokens_.find(piece); id >= 0) {
      out.push_back(id);
      return;
    }
  }
  start(piece, space.ids);
  if (space.ids.size() <= kShort) {
    merge_short(space);
  } else {
    merge_long(space);
  }
  if (options_.first_symbol == INT32_MAX) {
    out.insert(out.end(), space.ids.begin(), space.ids.end());
    return;
  }
  bool after_unknown = false;
  for (const int32_t id : space.ids) {
    if (id >= options_.first_symbol) {
      put_unknown(tokens_[id], after_unknown, out);
    } else {
      const bool unknown = id == options_.unknown;
      if (!(unknown && after_unknown && options_.fuse_unknown)) out.push_back(id);
      after_unknown = unknown;
    }
  }
}

}  // namespace ponder
