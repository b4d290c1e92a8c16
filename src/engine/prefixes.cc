// Beginnings that were computed before: taken from the tree and from disk when a sequence begins, kept
// when it has computed them.
#include <cstring>

#include "engine/group.h"

namespace ponder {

// Begins a sequence with what is known of its tokens. The last one is computed in any case: its logits
// are wanted. False if nothing is known.
bool Engine::attach_prefix(Sequence& sequence) {
  const Group& group = *sequence.group;
  if (!options_.prefix_cache || (group.scores() && !group.begun)) return false;
  std::vector<int32_t> tokens = group.request.prompt;
  if (sequence.index < group.output.answers.size()) {
    const std::vector<int32_t>& more = group.output.answers[sequence.index].tokens;
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  tokens.pop_back();
  const std::vector<int32_t> pages = prefixes_.find(group.request.salt, tokens);
  sequence.pages.attach(pages);
  if (store_ != nullptr) attach_from_disk(sequence, tokens);
  sequence.done = sequence.pages.size() * PrefixTree::kUnit;
  return !sequence.pages.empty();
}

// Goes on with what an earlier process or a fuller cache has left on disk.
void Engine::attach_from_disk(Sequence& sequence, std::span<const int32_t> tokens) {
  const uint64_t salt = sequence.group->request.salt;
  constexpr auto kUnit = static_cast<size_t>(PrefixTree::kUnit);
  const auto layer_bytes = static_cast<size_t>(cache_.layer_page_bytes());
  std::vector<std::byte> unit;
  std::string name = store_->root(salt);
  for (size_t i = 0; i < tokens.size() / kUnit; ++i) {
    name = PrefixStore::child(name, tokens.subspan(i * kUnit, kUnit));
    if (static_cast<int64_t>(i) < sequence.pages.size()) continue;
    if (!store_->contains(name)) return;
    prefixes_.evict(1);
    if (table_.free_pages() == 0) return;
    unit.resize(layer_bytes * static_cast<size_t>(cache_.layers()));
    if (!store_->read(name, unit)) return;
    const int32_t page = prefixes_.extend(salt, tokens, static_cast<int64_t>(i));
    if (page < 0) return;
    for (int64_t layer = 0; layer < cache_.layers(); ++layer) {
      std::memcpy(cache_.page_data(layer, page),
                  unit.data() + static_cast<size_t>(layer) * layer_bytes, layer_bytes);
    }
    sequence.pages.append(page);
    if (!sequence.group->started) {
      sequence.group->output.disk_hit_tokens += PrefixTree::kUnit;
    }
  }
}

// Makes what a sequence has computed known to others, in whole units.
void Engine::keep_prefix(Sequence& sequence) {
  if (!options_.prefix_cache) return;
  const Group& group = *sequence.group;
  // Behind a part of a page that it shares, its pages hold other positions than the tree's.
  const int64_t shared = sequence.pages.shared();
  const int64_t usable = shared % PrefixTree::kUnit == 0 ? sequence.done : shared;
  std::vector<int32_t> tokens(static_cast<size_t>(usable / PrefixTree::kUnit * PrefixTree::kUnit));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = group.token(sequence.index, static_cast<int64_t>(i));
  }
  prefixes_.insert(group.request.salt, tokens, sequence.pages);
  if (store_ != nullptr) keep_on_disk(sequence, tokens);
}

void Engine::keep_on_disk(const Sequence& sequence, std::span<const int32_t> tokens) {
  constexpr auto kUnit = static_cast<size_t>(PrefixTree::kUnit);
  const auto layer_bytes = static_cast<size_t>(cache_.layer_page_bytes());
  std::string name = store_->root(sequence.group->request.salt);
  for (size_t i = 0; i < tokens.size() / kUnit; ++i) {
    name = PrefixStore::child(name, tokens.subspan(i * kUnit, kUnit));
    if (store_->contains(name)) continue;
    if (!store_->takes()) return;
    std::vector<std::byte> unit(layer_bytes * static_cast<size_t>(cache_.layers()));
    for (int64_t layer = 0; layer < cache_.layers(); ++layer) {
      std::memcpy(unit.data() + static_cast<size_t>(layer) * layer_bytes,
                  cache_.page_data(layer, sequence.pages.data()[i]), layer_bytes);
    }
    store_->write(name, std::move(unit));
  }
}

}  // namespace ponder
