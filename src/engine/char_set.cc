#include "engine/char_set.h"

#include <algorithm>
#include <string>

#include "core/status.h"
#include "text/utf8.h"

namespace ponder {

void CharSet::add(char32_t first, char32_t last) {
  PONDER_CHECK(first <= last && last <= kLastChar);
  // The ranges that touch the new one become part of it.
  auto from = std::lower_bound(ranges_.begin(), ranges_.end(), first,
                               [](const CharRange& r, char32_t c) { return r.last + 1 < c; });
  auto to = from;
  for (; to != ranges_.end() && to->first <= last + 1; ++to) {
    first = std::min(first, to->first);
    last = std::max(last, to->last);
  }
  from = ranges_.erase(from, to);
  ranges_.insert(from, {first, last});
}

void CharSet::add(const CharSet& other) {
  for (const CharRange& range : other.ranges_) add(range.first, range.last);
}

CharSet CharSet::negated() const {
  CharSet out;
  char32_t next = 0;
  for (const CharRange& range : ranges_) {
    if (range.first > next) out.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastChar) out.ranges_.push_back({next, kLastChar});
  return out;
}

CharSet CharSet::with(const CharSet& other) const {
  CharSet out = *this;
  out.add(other);
  return out;
}

CharSet CharSet::also_in(const CharSet& other) const {
  return negated().with(other.negated()).negated();
}

CharSet CharSet::without(const CharSet& other) const { return negated().with(other).negated(); }

bool CharSet::contains(char32_t code) const {
  const auto at = std::lower_bound(ranges_.begin(), ranges_.end(), code,
                                   [](const CharRange& r, char32_t c) { return r.last < c; });
  return at != ranges_.end() && at->first <= code;
}

namespace {

// first..last have UTF-8 of one size, `size`. Cuts the range until in each piece every byte is free
// to be anything between its two ends.
void add_sequences(char32_t first, char32_t last, int size, std::vector<ByteSequence>& out) {
  for (int i = 1; i < size; ++i) {
    const char32_t low = (char32_t{1} << (6 * i)) - 1;  // the bits of the last i bytes
    if ((first & ~low) == (last & ~low)) continue;
    if ((first & low) != 0) {
      add_sequences(first, first | low, size, out);
      return add_sequences((first | low) + 1, last, size, out);
    }
    if ((last & low) != low) {
      add_sequences(first, (last & ~low) - 1, size, out);
      return add_sequences(last & ~low, last, size, out);
    }
  }
  std::string from, to;
  append_utf8(from, first);
  append_utf8(to, last);
  ByteSequence sequence;
  sequence.size = size;
  for (size_t i = 0; i < static_cast<size_t>(size); ++i) {
    sequence.bytes[i] = {static_cast<uint8_t>(from[i]), static_cast<uint8_t>(to[i])};
  }
  out.push_back(sequence);
}

}  // namespace

std::vector<ByteSequence> utf8_sequences(const CharSet& set) {
  struct Span {
    char32_t first, last;
    int size;
  };
  static constexpr Span kSpans[] = {{0, 0x7F, 1},
                                    {0x80, 0x7FF, 2},
                                    {0x800, 0xD7FF, 3},
                                    {0xE000, 0xFFFF, 3},
                                    {0x10000, kLastChar, 4}};
  std::vector<ByteSequence> out;
  for (const CharRange& range : set.ranges()) {
    for (const Span& span : kSpans) {
      const char32_t first = std::max(range.first, span.first);
      const char32_t last = std::min(range.last, span.last);
      if (first <= last) add_sequences(first, last, span.size, out);
    }
  }
  return out;
}

}  // namespace ponder
