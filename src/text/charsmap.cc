#include "text/charsmap.h"

#include <utf8proc.h>

#include "text/utf8.h"

namespace ponder {
namespace {

// Parts of a unit of the double array.
bool has_leaf(uint32_t unit) { return ((unit >> 8) & 1) != 0; }
uint32_t label(uint32_t unit) { return unit & ((uint32_t{1} << 31) | 0xFF); }
uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & (uint32_t{1} << 9)) >> 6); }
uint32_t leaf_value(uint32_t unit) { return unit & ((uint32_t{1} << 31) - 1); }

uint32_t u32_at(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = (value << 8) | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

}  // namespace

Result<Charsmap> Charsmap::parse(std::string_view bytes) {
  if (bytes.size() < 4) return invalid("charsmap: expected at least 4 bytes");
  const uint32_t size = u32_at(bytes, 0);
  if (size % 4 != 0 || size == 0 || size > bytes.size() - 4) {
    return invalid("charsmap: the size of its array is not a part of the whole");
  }
  Charsmap map;
  map.units_.resize(size / 4);
  for (size_t i = 0; i < map.units_.size(); ++i) map.units_[i] = u32_at(bytes, 4 + 4 * i);
  map.replacements_ = bytes.substr(4 + size);
  if (!map.replacements_.empty() && map.replacements_.back() != '\0') {
    return invalid("charsmap: its last replacement has no end");
  }
  return map;
}

Charsmap::Match Charsmap::match(std::string_view text, bool longest) const {
  Match found;
  uint32_t at = offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    // A broken table leads out of the array: then nothing matches.
    if (byte == 0 || at >= units_.size() || label(units_[at]) != byte) break;
    const bool leaf = has_leaf(units_[at]);
    at ^= offset(units_[at]);
    if (!leaf) continue;
    if (at >= units_.size()) break;
    const uint32_t begin = leaf_value(units_[at]);
    if (begin >= replacements_.size()) break;
    found.size = i + 1;
    found.with = std::string_view(replacements_).substr(begin);
    found.with = found.with.substr(0, found.with.find('\0'));
    if (!longest) break;
  }
  return found;
}

std::string Charsmap::apply(std::string_view text) const {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Match found = match(text.substr(at), true);
    const size_t size = found.size > 0 ? found.size : utf8_at(text, at).size;
    out += found.size > 0 ? found.with : text.substr(at, size);
    at += size;
  }
  return out;
}

std::string Charsmap::apply_to_clusters(std::string_view text) const {
  constexpr size_t kLongestCluster = 6;
  std::string out;
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t state = 0;
    size_t end = at + utf8_at(text, at).size;
    for (char32_t last = utf8_at(text, at).code; end < text.size();) {
      const Utf8Char next = utf8_at(text, end);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last),
                                           static_cast<utf8proc_int32_t>(next.code), &state)) {
        break;
      }
      last = next.code;
      end += next.size;
    }
    const std::string_view cluster = text.substr(at, end - at);
    at = end;
    const Match whole = cluster.size() < kLongestCluster ? match(cluster, false) : Match();
    if (whole.size > 0) {
      out += whole.with;
      continue;
    }
    for (size_t i = 0; i < cluster.size();) {
      const std::string_view c = cluster.substr(i, utf8_at(cluster, i).size);
      const Match found = match(c, false);
      out += found.size > 0 ? found.with : c;
      i += c.size();
    }
  }
  return out;
}

Result<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  if ((text.size() + padding) % 4 != 0)
    return invalid("base64: expected groups of four characters");
  uint32_t held = 0;
  int bits = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return invalid("base64: a character that is none of its");
    held = (held << 6) | static_cast<uint32_t>(digit);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += static_cast<char>(static_cast<unsigned char>((held >> bits) & 0xFF));
    }
  }
  return out;
}

}  // namespace ponder
