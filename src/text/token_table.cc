#include "text/token_table.h"

#include <bit>

#include "core/rng.h"
#include "core/status.h"

namespace ponder {

TokenTable::TokenTable(const std::vector<std::string>& texts)
    : slots_(std::bit_ceil(2 * texts.size() + 2), -1) {
  size_t total = 0;
  for (const auto& text : texts) total += text.size();
  PONDER_CHECK(total < UINT32_MAX && texts.size() < (size_t{1} << 30), "a vocabulary of 4 GiB");
  bytes_.reserve(total);
  offsets_.reserve(texts.size() + 1);
  const size_t mask = slots_.size() - 1;
  for (size_t id = 0; id < texts.size(); ++id) {
    bytes_ += texts[id];
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
    if (texts[id].empty()) continue;
    size_t slot = hash64(texts[id]) & mask;
    while (slots_[slot] >= 0 && (*this)[slots_[slot]] != texts[id]) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<int32_t>(id);
  }
}

int32_t TokenTable::find(std::string_view text) const {
  if (slots_.empty() || text.empty()) return -1;
  const size_t mask = slots_.size() - 1;
  for (size_t slot = hash64(text) & mask; slots_[slot] >= 0; slot = (slot + 1) & mask) {
    if ((*this)[slots_[slot]] == text) return slots_[slot];
  }
  return -1;
}

}  // namespace ponder
