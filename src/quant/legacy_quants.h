// Q4_0, Q4_1, Q5_0, Q5_1: 32 weights of 4 or 5 bits, one binary16 scale d, and in the _1 formats a
// binary16 minimum m. A block is d, m, the fifth bits (bit i of a 32-bit number for weight i), and
// 16 bytes of which byte i has weight i in its low half, weight i + 16 in its high half. A weight is
// d * (code - 8) or d * (code - 16), and d * code + m with a minimum. Source: ggml's block_q4_0,
// block_q4_1, block_q5_0, block_q5_1.
#pragma once

#include <cstdint>

namespace ponder {

template <int kBits, bool kMinimum>
struct LegacyBlock {
  static constexpr int64_t kValues = 32;
  static constexpr int64_t kHighAt = kMinimum ? 4 : 2;  // where the fifth bits begin
  static constexpr int64_t kLowAt = kHighAt + (kBits == 5 ? 4 : 0);
  static constexpr int64_t kBytes = kLowAt + 16;
  static constexpr int64_t kStep = 32;
  static constexpr bool kHasOffset = kMinimum;

  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  // Without importance, ggml's bytes. With it, the scale (and minimum) of least weighted error.
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

using Q4_0 = LegacyBlock<4, false>;
using Q4_1 = LegacyBlock<4, true>;
using Q5_0 = LegacyBlock<5, false>;
using Q5_1 = LegacyBlock<5, true>;

}  // namespace ponder
