// Q2_K to Q6_K: blocks of 256 weights in groups of 16 or 32, each group with an integer scale that
// multiplies the block's binary16 scale d. Q2_K, Q4_K and Q5_K also take off an integer minimum
// times the block's dmin. Source: ggml's block_q2_K to block_q6_K.
#pragma once

#include <cstdint>

namespace ponder {

// scales[16] (low half the scale, high half the minimum), codes of 2 bits [64], d, dmin.
struct Q2_K {
  static constexpr int64_t kValues = 256, kBytes = 84, kStep = 16;
  static constexpr bool kHasOffset = true;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// third bits of the codes [32], their low 2 bits [64], scales of 6 bits [12], d. Codes are less 4,
// scales less 32.
struct Q3_K {
  static constexpr int64_t kValues = 256, kBytes = 110, kStep = 16;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d, dmin, scales and minima of 6 bits [12], codes of 4 bits [128].
struct Q4_K {
  static constexpr int64_t kValues = 256, kBytes = 144, kStep = 32;
  static constexpr bool kHasOffset = true;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d, dmin, scales and minima of 6 bits [12], fifth bits of the codes [32], their low 4 bits [128].
struct Q5_K {
  static constexpr int64_t kValues = 256, kBytes = 176, kStep = 32;
  static constexpr bool kHasOffset = true;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// low 4 bits of the codes [128], their upper 2 bits [64], int8 scales [16], d. Codes are less 32.
struct Q6_K {
  static constexpr int64_t kValues = 256, kBytes = 210, kStep = 16;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

}  // namespace ponder
