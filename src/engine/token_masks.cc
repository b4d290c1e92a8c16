#include "engine/token_masks.h"

#include <fmt/format.h>

#include <algorithm>

namespace ponder {

namespace {

// Visited nodes of the tree that weigh as much as a unit of work.
constexpr uint64_t kVisitsPerUnit = 64;
// Below fewer nodes than this, walking is as quick as asking whether it can be left out.
constexpr uint32_t kWorthAsking = 4;

}  // namespace

TokenMasks::TokenMasks(std::shared_ptr<const Grammar> grammar,
                       std::shared_ptr<const TokenTrie> trie)
    : grammar_(std::move(grammar)),
      trie_(std::move(trie)),
      sets_(*grammar_),
      path_(trie_->longest() + 1) {
  forget();
}

void TokenMasks::forget() {
  walks_.clear();
  exits_by_hash_.clear();
  exits_.assign(2, {});
  exits_[kFromRoot] = {0};
  kept_bytes_ = 0;
}

// Counts that no token can tell apart become one: a token's bytes end at most so many turns of a
// loop, so being further than that from its bounds is all the same.
uint32_t TokenMasks::clamp(uint32_t state, uint32_t count) const {
  const uint32_t id = grammar_->loop_of(state);
  if (id == Grammar::kNoLoop) return 0;
  const Grammar::Loop& loop = grammar_->loop(id);
  const auto reach = static_cast<uint32_t>(trie_->longest() + 1);
  if (count < loop.min) return loop.min - count > reach ? 0 : count;
  return loop.max == kUnbounded || loop.max - count > reach ? loop.min : count;
}

Status TokenMasks::too_much() {
  return exhausted(
      "the grammar is too ambiguous here: finding the allowed tokens takes too much work; "
      "make its alternatives and repetitions begin differently");
}

Status TokenMasks::add_allowed(const StackPool& pool, const StackSet& set,
                               std::span<uint64_t> bits) {
  PONDER_CHECK(bits.size() >= trie_->mask_words());
  const std::lock_guard lock(mutex_);
  if (kept_bytes_ > kKeepBytes) forget();
  uint64_t work = 0;
  for (StackId id : set) {
    uint32_t exits = kFromRoot;
    while (id != kBottom && exits != kNoExits) {
      const StackFrame& frame = pool[id];
      const Key key{exits, frame.state, clamp(frame.state, frame.count), frame.parent == kBottom};
      const Walk* walked = walk(key, kMaxWork - work);
      if (walked == nullptr || work + walked->work > kMaxWork) return too_much();
      work += walked->work;
      for (size_t i = 0; i < walked->bits.size(); ++i) bits[i] |= walked->bits[i];
      for (const int32_t token : walked->tokens) {
        bits[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
      }
      exits = walked->exits;
      id = frame.parent;
    }
  }
  return {};
}

// Null: too much work.
const TokenMasks::Walk* TokenMasks::walk(const Key& key, uint64_t work_left) {
  if (const auto at = walks_.find(key); at != walks_.end()) return &at->second;
  if (sets_.bytes() > kKeepBytes) sets_.clear();
  sets_.begin_count();
  visits_ = 0;
  found_.clear();
  found_exits_.clear();
  const uint32_t start = sets_.resume({key.state, key.count, kBottom});
  if (start == StackSets::kTooMany) return nullptr;
  for (const uint32_t node : exits_[key.exits]) {
    if (!walk_below(node, start, key.last, work_left)) return nullptr;
    // The frame may be over before it has read anything.
    if (sets_.ends(start) && !key.last) found_exits_.push_back(node);
  }
  std::sort(found_exits_.begin(), found_exits_.end());
  found_exits_.erase(std::unique(found_exits_.begin(), found_exits_.end()), found_exits_.end());
  Walk out;
  out.work = sets_.work() + visits_ / kVisitsPerUnit + 1;
  // The form that takes less memory.
  if (found_.size() / 2 > trie_->mask_words()) {
    out.bits.resize(trie_->mask_words());
    for (const int32_t token : found_) {
      out.bits[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
    }
  } else {
    out.tokens = found_;
  }
  out.exits = intern_exits();
  kept_bytes_ += sizeof(Walk) + 64 + out.bits.size() * 8 + out.tokens.size() * 4;
  return &walks_.emplace(key, std::move(out)).first->second;
}

bool TokenMasks::walk_below(uint32_t node, uint32_t start, bool last, uint64_t work_left) {
  const std::span<const TokenTrie::Node> nodes = trie_->nodes();
  path_[nodes[node].depth] = start;
  const uint32_t end = nodes[node].end;
  for (uint32_t i = node + 1; i < end;) {
    const TokenTrie::Node& at = nodes[i];
    const uint32_t set = sets_.step(path_[at.depth - 1u], at.byte, at.height);
    ++visits_;
    if (set == StackSets::kTooMany) return false;
    if (sets_.work() + visits_ / kVisitsPerUnit > work_left) return false;
    if (set == StackSets::kNone) {
      i = at.end;
      continue;
    }
    if (sets_.ends(set) && !last) {
      if (at.end > i + 1) found_exits_.push_back(i);
    } else if (at.end - i > kWorthAsking && sets_.stays(set, at.below, at.height)) {
      const auto tokens = trie_->tokens_from(i);
      found_.insert(found_.end(), tokens.begin(), tokens.end());
      i = at.end;
      continue;
    }
    const auto tokens = trie_->tokens_at(i);
    found_.insert(found_.end(), tokens.begin(), tokens.end());
    path_[at.depth] = set;
    i = sets_.only_ends(set) ? at.end : i + 1;
  }
  return true;
}

uint32_t TokenMasks::intern_exits() {
  if (found_exits_.empty()) return kNoExits;
  uint64_t hash = found_exits_.size();
  for (const uint32_t node : found_exits_)
    hash = (hash ^ (hash >> 29) ^ node) * 0x9E3779B97F4A7C15u;
  for (auto [at, last] = exits_by_hash_.equal_range(hash); at != last; ++at) {
    if (exits_[at->second] == found_exits_) return at->second;
  }
  const auto id = static_cast<uint32_t>(exits_.size());
  exits_.push_back(found_exits_);
  exits_by_hash_.emplace(hash, id);
  kept_bytes_ += 64 + found_exits_.size() * 4;
  return id;
}

}  // namespace ponder
