#include "engine/grammar_machine.h"

#include <algorithm>

namespace ponder {

using Op = Grammar::Op;

namespace {

uint64_t hash_of(const StackFrame& frame) {
  uint64_t h = frame.state * 0x9E3779B97F4A7C15u;
  h = (h ^ frame.count) * 0xC2B2AE3D27D4EB4Fu;
  h = (h ^ (h >> 29) ^ frame.parent) * 0x165667B19E3779F9u;
  return h ^ (h >> 32);
}

}  // namespace

void StackPool::clear() {
  frames_.assign(1, {});
  slots_.assign(64, kBottom);
}

StackId StackPool::push(const StackFrame& frame) {
  if (2 * frames_.size() >= slots_.size()) grow();
  const size_t mask = slots_.size() - 1;
  size_t at = hash_of(frame) & mask;
  for (; slots_[at] != kBottom; at = (at + 1) & mask) {
    if (frames_[slots_[at]] == frame) return slots_[at];
  }
  slots_[at] = static_cast<StackId>(frames_.size());
  frames_.push_back(frame);
  return slots_[at];
}

void StackPool::grow() {
  slots_.assign(2 * slots_.size(), kBottom);
  const size_t mask = slots_.size() - 1;
  for (StackId id = 1; id < frames_.size(); ++id) {
    size_t at = hash_of(frames_[id]) & mask;
    while (slots_[at] != kBottom) at = (at + 1) & mask;
    slots_[at] = id;
  }
}

void StackPool::keep(std::span<std::vector<StackId>* const> sets) {
  std::vector<bool> used(frames_.size(), false);
  used[kBottom] = true;
  for (const auto* set : sets) {
    for (StackId id : *set) {
      for (; !used[id]; id = frames_[id].parent) used[id] = true;
    }
  }
  // A parent is older than what stands on it, so one ascending pass renumbers all.
  const std::vector<StackFrame> old = std::move(frames_);
  clear();
  std::vector<StackId> renamed(old.size(), kBottom);
  for (StackId id = 1; id < old.size(); ++id) {
    if (!used[id]) continue;
    StackFrame frame = old[id];
    frame.parent = renamed[frame.parent];
    renamed[id] = push(frame);
  }
  for (auto* set : sets) {
    for (StackId& id : *set) id = renamed[id];  // the order stays
  }
}

void GrammarMachine::begin() {
  items_.clear();
  if (stamps_.empty()) {
    slots_.resize(64);
    stamps_.resize(64);
  }
  if (++stamp_ == 0) {
    std::fill(stamps_.begin(), stamps_.end(), 0);
    stamp_ = 1;
  }
}

void GrammarMachine::add(const Item& item) {
  const auto slot_of = [&](const Item& i) {
    const size_t mask = slots_.size() - 1;
    size_t at = (hash_of(i.top) + 2 * i.entered + i.fresh) & mask;
    while (stamps_[at] == stamp_ && !(items_[slots_[at]] == i)) at = (at + 1) & mask;
    return at;
  };
  if (2 * items_.size() >= slots_.size()) {
    slots_.assign(2 * slots_.size(), 0);
    stamps_.assign(slots_.size(), 0);
    stamp_ = 1;
    for (uint32_t i = 0; i < items_.size(); ++i) {
      const size_t at = slot_of(items_[i]);
      slots_[at] = i;
      stamps_[at] = stamp_;
    }
  }
  const size_t at = slot_of(item);
  if (stamps_[at] == stamp_) return;
  slots_[at] = static_cast<uint32_t>(items_.size());
  stamps_[at] = stamp_;
  items_.push_back(item);
}

// Follows everything that needs no byte.
bool GrammarMachine::close(StackPool& pool, StackSet& out) {
  found_.clear();
  for (size_t i = 0; i < items_.size(); ++i) {
    if (items_.size() > 8 * kMaxSet || found_.size() > kMaxSet) return false;
    const Item item = items_[i];
    expand(pool, item);
  }
  std::sort(found_.begin(), found_.end());
  found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
  out = found_;
  return found_.size() <= kMaxSet;
}

void GrammarMachine::expand(StackPool& pool, const Item& item) {
  const Grammar::State& s = g_->state(item.top.state);
  const auto go = [&](uint32_t state, uint32_t count, bool fresh) {
    add({{state, count, item.top.parent}, item.entered, fresh});
  };
  switch (s.op) {
    case Op::kBytes:
      if (s.a != s.b) found_.push_back(pool.push(item.top));
      return;
    case Op::kSplit:
      for (const uint32_t target : g_->targets(s)) go(target, item.top.count, item.fresh);
      return;
    case Op::kCall: {
      const Grammar::Rule& rule = g_->rule(s.a);
      // A call that is the last thing in its rule leaves nothing to come back to.
      const bool last = g_->state(s.b).op == Op::kFinal;
      const StackId parent =
          last ? item.top.parent : pool.push({s.b, item.top.count, item.top.parent});
      add({{rule.start, 0, parent}, true, false});
      if (rule.nullable) go(s.b, item.top.count, item.fresh);
      return;
    }
    case Op::kEnter:
      return go(g_->loop(s.a).head, 0, false);
    case Op::kHead: {
      const Grammar::Loop& loop = g_->loop(s.a);
      if (item.top.count < loop.max) go(loop.body, item.top.count, true);
      if (item.top.count >= loop.min) go(loop.exit, 0, false);
      return;
    }
    case Op::kNext: {
      if (item.fresh) return;  // an empty turn
      const Grammar::Loop& loop = g_->loop(s.a);
      // Without an upper bound, only the way to `min` needs counting.
      const bool saturated = loop.max == kUnbounded && item.top.count >= loop.min;
      return go(loop.head, item.top.count + (saturated ? 0 : 1), false);
    }
    case Op::kFinal: {
      if (item.entered) return;
      if (item.top.parent == kBottom) {
        found_.push_back(kBottom);
      } else {
        add({pool[item.top.parent], false, false});
      }
      return;
    }
  }
}

bool GrammarMachine::start(StackPool& pool, StackSet& out) {
  return resume(pool, {g_->rule(g_->root()).start, 0, kBottom}, out);
}

bool GrammarMachine::resume(StackPool& pool, const StackFrame& frame, StackSet& out) {
  begin();
  add({frame, false, false});
  return close(pool, out);
}

bool GrammarMachine::step(StackPool& pool, const StackSet& in, uint8_t byte, StackSet& out) {
  begin();
  for (const StackId id : in) {
    if (id == kBottom) continue;
    const StackFrame top = pool[id];
    for (const Grammar::Edge& edge : g_->edges(g_->state(top.state))) {
      if (byte < edge.bytes.first || byte > edge.bytes.last) continue;
      add({{edge.target, top.count, top.parent}, false, false});
    }
  }
  return close(pool, out);
}

bool grammar_matches(const Grammar& grammar, std::string_view text) {
  GrammarMachine machine(grammar);
  StackPool pool;
  StackSet set;
  if (!machine.start(pool, set)) return false;
  for (const char byte : text) {
    if (!machine.step(pool, set, static_cast<uint8_t>(byte), set) || set.empty()) return false;
  }
  return !set.empty() && set.front() == kBottom;
}

}  // namespace ponder
