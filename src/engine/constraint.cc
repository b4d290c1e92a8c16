#include "engine/constraint.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/utf8.h"

namespace ponder {

Constraint::Constraint(std::shared_ptr<TokenMasks> masks, std::vector<int32_t> end_ids)
    : masks_(std::move(masks)), end_ids_(std::move(end_ids)), machine_(masks_->grammar()) {
  Place place;
  // A set that is too large is empty: nothing can be accepted and mask() says so.
  if (!machine_.start(pool_, place.set)) place.set.clear();
  past_.push_back(std::move(place));
}

bool Constraint::is_end_id(int32_t token) const {
  return std::find(end_ids_.begin(), end_ids_.end(), token) != end_ids_.end();
}

Status Constraint::mask(std::span<uint64_t> bits) {
  std::fill(bits.begin(), bits.end(), 0);
  const Place& place = past_.back();
  if (place.ended) return invalid("the answer has ended: no token may come");
  if (place.set.empty()) return exhausted("the grammar has too many ways to begin");
  RETURN_IF_ERROR(masks_->add_allowed(pool_, place.set, bits));
  for (const int32_t id : end_ids_) {
    if (id < 0 || static_cast<size_t>(id) / 64 >= bits.size()) continue;
    const uint64_t bit = uint64_t{1} << (id % 64);
    uint64_t& word = bits[static_cast<size_t>(id) / 64];
    word = is_complete() ? word | bit : word & ~bit;
  }
  if (std::all_of(bits.begin(), bits.end(), [](uint64_t word) { return word == 0; })) {
    return invalid("no token of this vocabulary can go on with the text");
  }
  return {};
}

Status Constraint::read(std::string_view bytes) {
  scratch_ = past_.back().set;
  if (ended() || bytes.empty()) return invalid({});
  for (const char byte : bytes) {
    if (!machine_.step(pool_, scratch_, static_cast<uint8_t>(byte), scratch_)) {
      return exhausted("the grammar is too ambiguous here: too many ways to read the text");
    }
    if (scratch_.empty()) return invalid({});
  }
  return {};
}

bool Constraint::allows(int32_t token) {
  if (is_end_id(token)) return is_complete() && !ended();
  return read(masks_->trie().bytes(token)).ok();
}

Status Constraint::accept(int32_t token) {
  if (is_end_id(token)) {
    if (!is_complete() || ended()) return invalid("the answer must not end here");
    push({past_.back().set, true});
    return {};
  }
  const Status status = read(masks_->trie().bytes(token));
  if (status.code() == Code::kInvalid) {
    return invalid(fmt::format("token {} does not go on as the grammar has it", token));
  }
  RETURN_IF_ERROR(status);
  push({scratch_, false});
  return {};
}

Status Constraint::accept_text(std::string_view bytes) {
  const Status status = read(bytes);
  if (status.code() == Code::kInvalid) {
    return invalid("the text does not go on as the grammar has it");
  }
  RETURN_IF_ERROR(status);
  push({scratch_, false});
  return {};
}

void Constraint::push(Place place) {
  past_.push_back(std::move(place));
  if (past_.size() > kMaxRollback + 1) past_.pop_front();
  if (pool_.size() < pool_limit_) return;
  std::vector<StackSet*> sets;
  for (Place& p : past_) sets.push_back(&p.set);
  pool_.keep(sets);
  pool_limit_ = std::max(size_t{4096}, 2 * pool_.size());
}

void Constraint::rollback(size_t count) {
  PONDER_CHECK(count <= undoable());
  past_.resize(past_.size() - count);
}

bool Constraint::is_complete() const {
  const StackSet& set = past_.back().set;
  return !set.empty() && set.front() == kBottom;
}

bool Constraint::must_end() const { return is_complete() && past_.back().set.size() == 1; }

std::string Constraint::forced_text(size_t max_bytes) {
  std::string out;
  if (ended()) return out;
  StackSet set = past_.back().set;
  while (out.size() < max_bytes && !set.empty() && set.front() != kBottom) {
    int forced = -1;
    for (const StackId id : set) {
      const Grammar& grammar = machine_.grammar();
      for (const Grammar::Edge& edge : grammar.edges(grammar.state(pool_[id].state))) {
        const bool one = edge.bytes.first == edge.bytes.last;
        if (!one || (forced >= 0 && forced != edge.bytes.first)) {
          out.resize(out.size() - utf8_unfinished(out));
          return out;
        }
        forced = edge.bytes.first;
      }
    }
    if (!machine_.step(pool_, set, static_cast<uint8_t>(forced), set)) break;
    out += static_cast<char>(forced);
  }
  out.resize(out.size() - utf8_unfinished(out));
  return out;
}

}  // namespace ponder
