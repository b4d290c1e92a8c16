#include "engine/stack_sets.h"

#include <algorithm>

#include "engine/token_trie.h"
#include "engine/utf8_states.h"

namespace ponder {

namespace {

uint64_t hash_of(std::span<const StackId> set) {
  uint64_t h = set.size();
  for (const StackId id : set) h = (h ^ (h >> 31) ^ id) * 0x9E3779B97F4A7C15u;
  return h ^ (h >> 32);
}

}  // namespace

StackSets::StackSets(const Grammar& grammar)
    : machine_(grammar), classes_(grammar.byte_classes()), class_count_(grammar.class_count()) {
  clear();
}

void StackSets::clear() {
  pool_.clear();
  stacks_.clear();
  sets_.assign(1, {});
  moves_.assign(class_count_, kNone);
  slots_.assign(256, kNone);
}

size_t StackSets::bytes() const {
  return pool_.size() * 24 + sets_.size() * sizeof(Set) + stacks_.size() * sizeof(StackId) +
         moves_.size() * sizeof(uint32_t);
}

void StackSets::begin_count() {
  work_ = 0;
  if (++stamp_ != 0) return;
  for (Set& set : sets_) set.stamp = set.loops_stamp = 0;
  stamp_ = 1;
}

uint32_t StackSets::intern(const StackSet& set) {
  if (set.empty()) return kNone;
  if (2 * sets_.size() >= slots_.size()) {
    slots_.assign(2 * slots_.size(), kNone);
    for (uint32_t id = 1; id < sets_.size(); ++id) {
      size_t at = hash_of({stacks_.data() + sets_[id].begin, sets_[id].size}) & (slots_.size() - 1);
      while (slots_[at] != kNone) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = id;
    }
  }
  size_t at = hash_of(set) & (slots_.size() - 1);
  for (; slots_[at] != kNone; at = (at + 1) & (slots_.size() - 1)) {
    const Set& other = sets_[slots_[at]];
    if (std::equal(set.begin(), set.end(), stacks_.begin() + other.begin,
                   stacks_.begin() + other.begin + other.size)) {
      return slots_[at];
    }
  }
  slots_[at] = static_cast<uint32_t>(sets_.size());
  sets_.push_back({.begin = static_cast<uint32_t>(stacks_.size()),
                   .size = static_cast<uint32_t>(set.size()),
                   .ends = set.front() == kBottom});
  stacks_.insert(stacks_.end(), set.begin(), set.end());
  moves_.resize(moves_.size() + class_count_, kUnknown);
  return slots_[at];
}

uint32_t StackSets::resume(const StackFrame& frame) {
  if (!machine_.resume(pool_, {frame.state, frame.count, kBottom}, scratch_)) return kTooMany;
  const uint32_t set = intern(scratch_);
  if (set != kNone && sets_[set].stamp != stamp_) enter(set);
  return set;
}

void StackSets::enter(uint32_t set) {
  if (sets_[set].far == kUnknown) find_far(set);
  sets_[set].stamp = stamp_;
  // Its moves, not all of which are asked for, and the memory for them.
  work_ += sets_[set].size * (1 + class_count_ / 4) + class_count_ / 8;
}

uint32_t StackSets::find_move(uint32_t set, uint8_t byte) {
  const Set& from = sets_[set];
  scratch_.assign(stacks_.begin() + from.begin, stacks_.begin() + from.begin + from.size);
  const bool good = machine_.step(pool_, scratch_, byte, scratch_);
  const uint32_t to = good ? intern(scratch_) : kTooMany;
  moves_[size_t{set} * class_count_ + classes_[byte]] = to;
  return to;
}

void StackSets::find_far(uint32_t set) {
  const Grammar& grammar = machine_.grammar();
  uint32_t room = UINT32_MAX;
  StackSet far;
  std::vector<StackFrame> frames;
  for (uint32_t i = 0; i < sets_[set].size; ++i) {
    frames.clear();
    for (StackId id = stacks_[sets_[set].begin + i]; id != kBottom; id = pool_[id].parent) {
      frames.push_back(pool_[id]);
    }
    StackId id = kBottom;
    for (size_t at = frames.size(); at-- > 0;) {
      StackFrame& frame = frames[at];
      if (const uint32_t loop_id = grammar.loop_of(frame.state); loop_id != Grammar::kNoLoop) {
        const Grammar::Loop& loop = grammar.loop(loop_id);
        const bool below = frame.count < loop.min;
        if (below) room = std::min(room, loop.min - frame.count - 1);
        if (!below && loop.max != kUnbounded) room = std::min(room, loop.max - frame.count);
        frame.count = below ? 0 : loop.min;
      }
      frame.parent = id;
      id = pool_.push(frame);
    }
    far.push_back(id);
  }
  std::sort(far.begin(), far.end());
  far.erase(std::unique(far.begin(), far.end()), far.end());
  const uint32_t to = intern(far);
  sets_[set].room = room;
  sets_[set].far = to;
}

uint64_t StackSets::loop_groups(uint32_t set) {
  if (sets_[set].loops_stamp != stamp_) {
    sets_[set].loops_stamp = stamp_;
    work_ += sets_[set].size * class_count_;
  }
  if (sets_[set].loops_known) return sets_[set].loops;
  uint64_t groups = ~(uint64_t{1} << TokenTrie::kBroken);
  for (uint8_t byte = 0; byte < 128; ++byte) {
    if (!leads_back(set, byte, set)) groups &= ~(uint64_t{1} << TokenTrie::ascii_groups()[byte]);
  }
  if (!chars_lead_back(set)) groups &= ~(uint64_t{1} << TokenTrie::kInChar);
  sets_[set].loops = groups;
  sets_[set].loops_known = true;
  return groups;
}

// Whether `byte` leads to `set`, but for counts.
bool StackSets::leads_back(uint32_t from, uint8_t byte, uint32_t set) {
  const uint32_t to = exact_step(from, byte);
  if (to == kNone || to == kTooMany) return false;
  if (sets_[to].far == kUnknown) find_far(to);
  return sets_[to].far == set;
}

// Whether every character of more than one byte leads back to the set.
bool StackSets::chars_lead_back(uint32_t set) {
  static constexpr size_t kMaxPlaces = 64;
  std::vector<std::pair<uint32_t, Utf8State>> places{{set, kUtf8Start}};
  for (size_t i = 0; i < places.size(); ++i) {
    const auto [from, state] = places[i];
    for (int byte = 0x80; byte <= 0xFF; ++byte) {
      const Utf8State next = utf8_next(state, static_cast<uint8_t>(byte));
      if (next == kUtf8Broken) continue;
      if (next == kUtf8Start) {
        if (!leads_back(from, static_cast<uint8_t>(byte), set)) return false;
        continue;
      }
      const uint32_t to = exact_step(from, static_cast<uint8_t>(byte));
      if (to == kNone || to == kTooMany || sets_[to].ends) return false;
      const std::pair<uint32_t, Utf8State> place{to, next};
      if (std::find(places.begin(), places.end(), place) != places.end()) continue;
      if (places.size() == kMaxPlaces) return false;
      places.push_back(place);
    }
  }
  return true;
}

}  // namespace ponder
