// Sets of characters, and the byte sequences that UTF-8 writes them with.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace ponder {

inline constexpr char32_t kLastChar = 0x10FFFF;

struct CharRange {
  char32_t first = 0;
  char32_t last = 0;  // included
  bool operator==(const CharRange&) const = default;
};

class CharSet {
 public:
  CharSet() = default;
  CharSet(std::initializer_list<CharRange> ranges) {
    for (const CharRange& range : ranges) add(range.first, range.last);
  }
  static CharSet all() { return {{0, kLastChar}}; }

  // REQUIRES: first <= last <= kLastChar
  void add(char32_t first, char32_t last);
  void add(const CharSet& other);
  CharSet negated() const;
  CharSet without(const CharSet& other) const;
  CharSet with(const CharSet& other) const;
  CharSet also_in(const CharSet& other) const;
  bool contains(char32_t code) const;
  bool empty() const { return ranges_.empty(); }
  // Ascending, apart by at least one character.
  const std::vector<CharRange>& ranges() const { return ranges_; }

 private:
  std::vector<CharRange> ranges_;
};

struct ByteRange {
  uint8_t first = 0;
  uint8_t last = 0;  // included
  bool operator==(const ByteRange&) const = default;
};

// Any byte of the first range, then any of the second, ...
struct ByteSequence {
  std::array<ByteRange, 4> bytes;
  int size = 0;  // 1..4
};

// Together the UTF-8 of the set's characters; surrogates have none and are left out.
std::vector<ByteSequence> utf8_sequences(const CharSet& set);

}  // namespace ponder
