#include "text/added_tokens.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/utf8.h"

namespace ponder {
namespace {

bool is_word(char32_t code) {
  if (code == '_') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

bool is_space(char32_t code) {
  if ((code >= '\t' && code <= '\r') || code == 0x85) return true;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

// The character that ends at byte `end`. REQUIRES: end > 0, UTF-8
Utf8Char utf8_before(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return utf8_at(text, at);
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  nodes_.emplace_back();
  for (size_t t = 0; t < tokens_.size(); ++t) {
    if (tokens_[t].text.empty()) continue;
    uint32_t node = 0;
    for (const char c : tokens_[t].text) {
      const auto byte = static_cast<unsigned char>(c);
      auto& next = nodes_[node].next;
      auto edge = std::lower_bound(next.begin(), next.end(), std::pair(byte, uint32_t{0}));
      if (edge == next.end() || edge->first != byte) {
        const auto made = static_cast<uint32_t>(nodes_.size());
        next.insert(edge, {byte, made});
        nodes_.emplace_back();
        node = made;
      } else {
        node = edge->second;
      }
    }
    nodes_[node].token = static_cast<int32_t>(t);
    begins_[static_cast<unsigned char>(tokens_[t].text[0])] = true;
  }
}

int32_t AddedTokenFinder::longest_at(std::string_view text, size_t at) const {
  int32_t found = -1;
  uint32_t node = 0;
  for (; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const auto& next = nodes_[node].next;
    const auto edge = std::lower_bound(next.begin(), next.end(), std::pair(byte, uint32_t{0}));
    if (edge == next.end() || edge->first != byte) break;
    node = edge->second;
    if (nodes_[node].token >= 0) found = nodes_[node].token;
  }
  return found;
}

std::vector<AddedTokenFinder::Match> AddedTokenFinder::find(std::string_view text,
                                                            bool with_control) const {
  std::vector<Match> matches;
  if (tokens_.empty()) return matches;
  size_t done = 0;  // the end of the last match, the space it took included
  for (size_t at = 0; at < text.size();) {
    if (!begins_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const int32_t index = longest_at(text, at);
    if (index < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(index)];
    size_t start = at, end = at + token.text.size();
    at = end;
    if (start < done || (token.control() && !with_control)) continue;
    if (token.single_word && ((start > 0 && is_word(utf8_before(text, start).code)) ||
                              (end < text.size() && is_word(utf8_at(text, end).code)))) {
      continue;
    }
    while (token.lstrip && start > done && is_space(utf8_before(text, start).code)) {
      start -= utf8_before(text, start).size;
    }
    while (token.rstrip && end < text.size() && is_space(utf8_at(text, end).code)) {
      end += utf8_at(text, end).size;
    }
    matches.push_back({start, end, token.id});
    done = end;
  }
  return matches;
}

}  // namespace ponder
