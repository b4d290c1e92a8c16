// Formats whose four-bit codes are the numbers of entries of a table: IQ4_NL, IQ4_XS, MXFP4, NVFP4.
#pragma once

#include <array>
#include <cstdint>

namespace ponder {

using NibbleTable = std::array<int8_t, 16>;

// `half` bytes hold 2 * half codes: the low halves of the bytes first, then the high ones.
inline void look_up_nibbles(const uint8_t* bytes, const NibbleTable& table, int64_t half,
                            int8_t* codes) {
  for (int64_t j = 0; j < half; ++j) {
    codes[j] = table[bytes[j] & 15];
    codes[j + half] = table[bytes[j] >> 4];
  }
}

// The inverse: bytes from 2 * half indices of 0 to 15.
inline void pack_nibbles(const uint8_t* indices, int64_t half, uint8_t* bytes) {
  for (int64_t j = 0; j < half; ++j) {
    bytes[j] = static_cast<uint8_t>(indices[j] | (indices[j + half] << 4));
  }
}

}  // namespace ponder
