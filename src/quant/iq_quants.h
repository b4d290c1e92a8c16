// ggml's IQ types, made for use with an importance matrix. Their blocks in bytes and their integer
// forms; block.h says what the members are. `d` is a binary16.
//
// IQ1, IQ2 and IQ3 store groups of values as points of a code book (iq_grids.h). In IQ2 and IQ3
// points are magnitudes and signs are kept apart: each as a bit, or "even": seven bits for eight
// values, of which an even number is negative. `s` are the sub-scales.
#pragma once

#include <cstdint>

#include "quant/nibble_codes.h"

namespace ponder {

constexpr int64_t kIqValues = 256;  // per block, but for IQ4_NL

// d[2]; for each 32 values: four points in 4 bytes; u32 of four even sign groups and, in bits 28 to
// 31, s. Weight: d * (s + 1/2) / 4 * magnitude.
struct Iq2Xxs {
  static constexpr int64_t kValues = kIqValues, kBytes = 66, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d[2]; for each 8 values a u16: point in bits 0 to 8, even signs above; then a nibble s for each 16.
struct Iq2Xs {
  static constexpr int64_t kValues = kIqValues, kBytes = 74, kStep = 16;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d[2]; points' low bytes [32]; signs [32]; points' bits 8 and 9 [8]; a nibble s for each 16 [8].
struct Iq2S {
  static constexpr int64_t kValues = kIqValues, kBytes = 82, kStep = 16;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d[2]; points of four values [64]; for each 32 values a u32 of four even sign groups and s in bits
// 28 to 31. Weight: d * (s + 1/2) / 2 * magnitude.
struct Iq3Xxs {
  static constexpr int64_t kValues = kIqValues, kBytes = 98, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d[2]; points' low bytes [64]; their bit 8 [8]; signs [32]; a nibble s for each 32 [4]. Weight: d *
// (2 * s + 1) * magnitude.
struct Iq3S {
  static constexpr int64_t kValues = kIqValues, kBytes = 110, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d[2]; points' low bytes [32]; for each 32 values a u16: bits 8 to 10 of four points, s in bits 12
// to 14, and whether the shift is negative. Weight: d * (2 * s + 1) * (component +- 1/8); codes are
// eight times the sum.
struct Iq1S {
  static constexpr int64_t kValues = kIqValues, kBytes = 50, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// Points' low bytes [32]; for each 8 values a nibble: bits 8 to 10 of the point, then whether the
// shift is negative [16]; four u16: in each s of three bits for four times 16 values and a quarter
// of d.
struct Iq1M {
  static constexpr int64_t kValues = kIqValues, kBytes = 56, kStep = 16;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// The sixteen values of IQ4: finer near zero.
constexpr NibbleTable kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113};

// d[2]; codes [16].
struct Iq4Nl {
  static constexpr int64_t kValues = 32, kBytes = 18, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d[2]; the upper two bits of eight sub-scales [2], their lower four [4]; codes [128]. Weight: d *
// (s - 32) * value.
struct Iq4Xs {
  static constexpr int64_t kValues = kIqValues, kBytes = 136, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

}  // namespace ponder
