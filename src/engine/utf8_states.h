// UTF-8 as an automaton over bytes (table 3-7 of the Unicode Standard).
#pragma once

#include <cstdint>

namespace ponder {

enum Utf8State : uint8_t {
  kUtf8Start,    // between characters
  kUtf8One,      // one more byte 80..BF
  kUtf8Two,      // two more
  kUtf8Three,    // three more
  kUtf8AfterE0,  // A0..BF, then one more
  kUtf8AfterEd,  // 80..9F, then one more
  kUtf8AfterF0,  // 90..BF, then two more
  kUtf8AfterF4,  // 80..8F, then two more
  kUtf8Broken,   // stays so
};

constexpr Utf8State utf8_next(Utf8State state, uint8_t byte) {
  const auto in = [byte](int first, int last) { return byte >= first && byte <= last; };
  switch (state) {
    case kUtf8Start:
      if (byte < 0x80) return kUtf8Start;
      if (in(0xC2, 0xDF)) return kUtf8One;
      if (byte == 0xE0) return kUtf8AfterE0;
      if (byte == 0xED) return kUtf8AfterEd;
      if (in(0xE1, 0xEF)) return kUtf8Two;
      if (byte == 0xF0) return kUtf8AfterF0;
      if (byte == 0xF4) return kUtf8AfterF4;
      return in(0xF1, 0xF3) ? kUtf8Three : kUtf8Broken;
    case kUtf8One:
      return in(0x80, 0xBF) ? kUtf8Start : kUtf8Broken;
    case kUtf8Two:
      return in(0x80, 0xBF) ? kUtf8One : kUtf8Broken;
    case kUtf8Three:
      return in(0x80, 0xBF) ? kUtf8Two : kUtf8Broken;
    case kUtf8AfterE0:
      return in(0xA0, 0xBF) ? kUtf8One : kUtf8Broken;
    case kUtf8AfterEd:
      return in(0x80, 0x9F) ? kUtf8One : kUtf8Broken;
    case kUtf8AfterF0:
      return in(0x90, 0xBF) ? kUtf8Two : kUtf8Broken;
    case kUtf8AfterF4:
      return in(0x80, 0x8F) ? kUtf8Two : kUtf8Broken;
    case kUtf8Broken:
      break;
  }
  return kUtf8Broken;
}

}  // namespace ponder
