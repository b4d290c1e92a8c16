// Types of one and two bits with one binary16 scale d per block: TQ1_0 and TQ2_0 for models trained
// to -1, 0, 1, Q1_0 for -1, 1, and Q2_0. Their integer form repeats d for each 32 values. Source:
// ggml's types of these names. block.h says what the members are.
#pragma once

#include <cstdint>

namespace ponder {

// 52 bytes of base-3 digits, then d. A byte q holds five digits (four in the last four bytes) as the
// fraction q / 256 in base 3: multiply by 3, and the carry is the next digit. The digits of one
// byte stand 32 values apart for the first 160 values, 16 for the next 80, 4 for the last 16.
struct Tq1_0 {
  static constexpr int64_t kValues = 256, kBytes = 54, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// 64 bytes, then d. Each half of the bytes holds 128 values, four to a byte, 32 values apart; weight
// d * (bits - 1).
struct Tq2_0 {
  static constexpr int64_t kValues = 256, kBytes = 66, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d, then a bit for each value: d where it is set, else -d.
struct Q1_0 {
  static constexpr int64_t kValues = 128, kBytes = 18, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

// d, then two bits for each value: d * (bits - 1).
struct Q2_0 {
  static constexpr int64_t kValues = 64, kBytes = 18, kStep = 32;
  static constexpr bool kHasOffset = false;
  static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
  static void encode(const float* src, const float* importance, void* dst, int64_t n);
};

}  // namespace ponder
