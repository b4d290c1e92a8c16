// What the block formats share: unaligned fields, rounding to codes, and decode() made from unpack.
//
// A block format is a struct B with
//   static constexpr int64_t kValues, kBytes;  // of one block
//   static constexpr int64_t kStep;            // elements per scale: 16 or 32
//   static constexpr bool kHasOffset;
//   static void unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets);
//       // one block: kValues codes, kValues / kStep scales, as many offsets (null without kHasOffset)
//   static void encode(const float* src, const float* importance, void* dst, int64_t n);  // a row
// block_format<B>() in format.cc makes a row of the table from it.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/dtype.h"

namespace ponder {

// A little-endian number at any address.
template <typename T>
T load(const uint8_t* from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename T>
void store(uint8_t* to, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(to, &value, sizeof value);
}

inline float load_half(const uint8_t* from) { return f16_to_f32(load<uint16_t>(from)); }

// Returns `value` as load_half() will give it back: encoders choose their codes for that number.
inline float store_half(uint8_t* to, float value) {
  const uint16_t bits = f32_to_f16(value);
  store(to, bits);
  return f16_to_f32(bits);
}

// x held to [low, high], integers within +-2^22, then rounded to nearest, ties to even, as ggml's
// nearest_int does; NaN gives low. It stays in floating point, so T may be a vector of floats too.
template <typename T>
T round_code(T x, std::type_identity_t<T> low, std::type_identity_t<T> high) {
  constexpr float kShift = 0x1.8p23f;  // floats from 2^23 to 2^24 are the integers
  const T above = x > low ? x : low;
  const T held = above < high ? above : high;
  return (held + kShift) - kShift;
}

// 1 / x, and 0 for 0: a block without a scale gets zeros for codes.
inline float inverse_or_zero(float x) { return x != 0.0f ? 1.0f / x : 0.0f; }

template <typename B>
void unpack_blocks(const void* src, int8_t* codes, float* scales, float* offsets, int64_t n) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += B::kValues, block += B::kBytes) {
    B::unpack(block, codes + i, scales + i / B::kStep,
              B::kHasOffset ? offsets + i / B::kStep : nullptr);
  }
}

// scale * code, rounded; then + offset, rounded.
template <typename B>
void decode_blocks(const void* src, float* dst, int64_t n) {
  constexpr int64_t kScales = B::kValues / B::kStep;
  int8_t codes[B::kValues];
  float scales[kScales], offsets[kScales];
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += B::kValues, block += B::kBytes) {
    B::unpack(block, codes, scales, B::kHasOffset ? offsets : nullptr);
    for (int64_t s = 0; s < kScales; ++s) {
      const int8_t* code = codes + s * B::kStep;
      float* out = dst + i + s * B::kStep;
      for (int64_t j = 0; j < B::kStep; ++j) {
        const float product = scales[s] * static_cast<float>(code[j]);
        if constexpr (B::kHasOffset) {
          out[j] = product + offsets[s];
        } else {
          out[j] = product;
        }
      }
    }
  }
}

}  // namespace ponder
