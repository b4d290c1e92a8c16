#include "engine/token_trie.h"

#include <algorithm>
#include <string>

#include "engine/utf8_states.h"
#include "text/tokenizer.h"

namespace ponder {

namespace {

std::array<uint8_t, 128> make_ascii_groups() {
  std::array<uint8_t, 128> groups{};
  uint8_t next = 0;
  const auto one = [&](int first, int last) {
    for (int b = first; b <= last; ++b) groups[static_cast<size_t>(b)] = next;
    ++next;
  };
  one(0x00, 0x08);
  for (int b = '\t'; b <= '\r'; ++b) one(b, b);
  one(0x0E, 0x1F);
  for (int b = ' '; b <= '/'; ++b) one(b, b);
  one('0', '9');
  for (int b = ':'; b <= '@'; ++b) one(b, b);
  one('A', 'Z');
  for (int b = '['; b <= '`'; ++b) one(b, b);
  one('a', 'z');
  for (int b = '{'; b <= '~'; ++b) one(b, b);
  one(0x7F, 0x7F);
  return groups;
}

}  // namespace

const std::array<uint8_t, 128>& TokenTrie::ascii_groups() {
  static const std::array<uint8_t, 128> groups = make_ascii_groups();
  return groups;
}

TokenTrie::TokenTrie(const Tokenizer& tokenizer, std::span<const int32_t> excluded) {
  std::vector<std::string_view> bytes(static_cast<size_t>(tokenizer.vocab_size()));
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(id) || tokenizer.is_control(id)) continue;
    bytes[static_cast<size_t>(id)] = tokenizer.token_bytes(id);
  }
  for (const int32_t id : excluded) {
    if (id >= 0 && id < tokenizer.vocab_size()) bytes[static_cast<size_t>(id)] = {};
  }
  build(bytes);
}

TokenTrie::TokenTrie(std::span<const std::string_view> token_bytes) { build(token_bytes); }

std::string_view TokenTrie::bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  const auto i = static_cast<size_t>(id);
  return {text_.data() + ends_[i], ends_[i + 1] - ends_[i]};
}

void TokenTrie::build(std::span<const std::string_view> token_bytes) {
  ends_.push_back(0);
  for (size_t id = 0; id < token_bytes.size(); ++id) {
    const std::string_view bytes = token_bytes[id];
    if (bytes.size() <= kMaxTokenBytes) text_.insert(text_.end(), bytes.begin(), bytes.end());
    ends_.push_back(static_cast<uint32_t>(text_.size()));
  }
  for (int32_t id = 0; id < vocab_size(); ++id) {
    if (!bytes(id).empty()) tokens_.push_back(id);
    longest_ = std::max(longest_, bytes(id).size());
  }
  std::sort(tokens_.begin(), tokens_.end(), [&](int32_t a, int32_t b) {
    const int order = bytes(a).compare(bytes(b));
    return order != 0 ? order < 0 : a < b;
  });
  nodes_.push_back({});
  std::vector<uint32_t> path{0};            // nodes from the root to the last one
  std::vector<Utf8State> utf8{kUtf8Start};  // after each of these
  std::vector<bool> within{false};          // a character, by node
  std::string_view before;
  const auto close_to = [&](size_t depth) {
    for (; path.size() > depth + 1; path.pop_back(), utf8.pop_back()) {
      Node& node = nodes_[path.back()];
      node.end = static_cast<uint32_t>(nodes_.size());
      Node& parent = nodes_[path[path.size() - 2]];
      const bool ascii = node.byte < 0x80 && utf8[utf8.size() - 2] == kUtf8Start;
      const uint8_t group = utf8.back() == kUtf8Broken ? kBroken
                            : ascii                    ? ascii_groups()[node.byte]
                                                       : kInChar;
      parent.below |= node.below | uint64_t{1} << group;
      parent.height = std::max<uint16_t>(parent.height, static_cast<uint16_t>(node.height + 1));
    }
  };
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const std::string_view text = bytes(tokens_[i]);
    const auto shared = static_cast<size_t>(
        std::mismatch(before.begin(), before.end(), text.begin(), text.end()).first -
        before.begin());
    close_to(shared);
    for (size_t depth = shared; depth < text.size(); ++depth) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      utf8.push_back(utf8_next(utf8.back(), static_cast<uint8_t>(text[depth])));
      within.push_back(utf8.back() != kUtf8Start);
      nodes_.push_back({.first_token = i,
                        .depth = static_cast<uint16_t>(depth + 1),
                        .byte = static_cast<uint8_t>(text[depth])});
    }
    before = text;
  }
  close_to(0);
  nodes_[0].end = static_cast<uint32_t>(nodes_.size());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (within[i]) nodes_[i].below |= uint64_t{1} << kBroken;
  }
  nodes_.push_back({.first_token = static_cast<uint32_t>(tokens_.size())});
}

}  // namespace ponder
