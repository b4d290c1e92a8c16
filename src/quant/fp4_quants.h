// Four-bit floating-point values (E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives) with a
// small floating-point scale. The integer form has twice the value as code and half the scale.
// Source: ggml's types of these names, and OCP's Microscaling formats. block.h says what the members
// are.
#pragma once

#include <cstdint>

namespace ponder {

// The exponent of a power of two, biased by 127 (E8M0); codes [16].
struct Mxfp4 {
  static constexpr int64_t kValues = 32, kBytes = 17, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// Four scales, each for 16 values: floats of four exponent bits, biased by 7, and three of mantissa
// (UE4M3); codes [32], eight bytes for each 16 values.
struct Nvfp4 {
  static constexpr int64_t kValues = 64, kBytes = 36, kStep = 16;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

}  // namespace ponder
