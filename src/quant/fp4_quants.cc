#include "quant/fp4_quants.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/block.h"
#include "quant/nibble_codes.h"
#include "quant/reduce.h"

namespace ponder {
namespace {

constexpr NibbleTable kDoubledE2m1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
constexpr int64_t kNvGroups = 4, kNvGroup = 16;

// 2^(exponent - 128): half of what E8M0 stands for. 255 is no NaN here, as in ggml.
float half_e8m0(uint8_t exponent) {
  const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t{exponent} - 1u) << 23;
  return std::bit_cast<float>(bits);
}

// Half of what UE4M3 stands for; its top bit is not used. 127 would be NaN: 0, as in ggml.
float half_ue4m3(uint8_t bits) {
  if (bits == 0 || bits == 0x7f) return 0.0f;
  const int exponent = (bits >> 3) & 15, mantissa = bits & 7;
  if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-10f;
  return std::bit_cast<float>((static_cast<uint32_t>(exponent + 127 - 7 - 1) << 23) |
                              (static_cast<uint32_t>(mantissa) << 20));
}

// To nearest, halves up, at most 448; not a number gives 0.
uint8_t to_ue4m3(float x) {
  if (!(x > 0.0f)) return 0;
  if (x < 0x1p-6f) return static_cast<uint8_t>(x * 512.0f + 0.5f);  // 8 is 2^-6
  constexpr uint32_t kLargest = 0x7e;
  const uint32_t rounded = (std::bit_cast<uint32_t>(x) + (1u << 19)) >> 20;  // exponent, 3 bits
  return static_cast<uint8_t>(std::min(rounded - ((127u - 7u) << 3), kLargest));
}

// Numbers of the values nearest to src[i] / d, the smaller one of two that are equally near; 0 for
// what is not a number.
template <int64_t kCount>
void nearest_codes(const float* src, float d, uint8_t* indices) {
  float magnitude[kCount], least[kCount];
  uint32_t best[kCount];
  for (int64_t i = 0; i < kCount; ++i) {
    magnitude[i] = std::fabs(src[i]);
    least[i] = magnitude[i];
    best[i] = 0;
  }
  for (uint32_t k = 1; k < 8; ++k) {
    const float value = static_cast<float>(kDoubledE2m1[k]) * d;
    for (int64_t i = 0; i < kCount; ++i) {
      const float error = std::fabs(value - magnitude[i]);
      best[i] = error < least[i] ? k : best[i];
      least[i] = error < least[i] ? error : least[i];
    }
  }
  for (int64_t i = 0; i < kCount; ++i) {
    const uint32_t sign = src[i] < 0.0f && best[i] != 0 ? 8u : 0u;
    indices[i] = static_cast<uint8_t>(best[i] | sign);
  }
}

}  // namespace

void Mxfp4::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  scales[0] = half_e8m0(block[0]);
  look_up_nibbles(block + 1, kDoubledE2m1, 16, codes);
}

// The scale is the largest power of two that leaves the largest magnitude at 4 or above, as the
// Microscaling specification has it (values above 6 are cut), and as ggml does.
void Mxfp4::encode(const float* src, const float*, void* dst, int64_t n) {
  auto* block = static_cast<uint8_t*>(dst);
  for (const float* end = src + n; src < end; src += kValues, block += kBytes) {
    const uint32_t exponent = std::bit_cast<uint32_t>(largest_magnitude(src, kValues)) >> 23;
    block[0] = static_cast<uint8_t>(exponent > 2 ? exponent - 2 : 0);
    uint8_t indices[kValues];
    nearest_codes<kValues>(src, half_e8m0(block[0]), indices);
    pack_nibbles(indices, kValues / 2, block + 1);
  }
}

void Nvfp4::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  for (int64_t g = 0; g < kNvGroups; ++g) {
    scales[g] = half_ue4m3(block[g]);
    look_up_nibbles(block + kNvGroups + g * 8, kDoubledE2m1, 8, codes + g * kNvGroup);
  }
}

void Nvfp4::encode(const float* src, const float*, void* dst, int64_t n) {
  auto* block = static_cast<uint8_t*>(dst);
  for (const float* end = src + n; src < end; src += kValues, block += kBytes) {
    for (int64_t g = 0; g < kNvGroups; ++g) {
      const float* group = src + g * kNvGroup;
      block[g] = to_ue4m3(largest_magnitude(group, kNvGroup) / 6.0f);
      uint8_t indices[kNvGroup];
      nearest_codes<kNvGroup>(group, half_ue4m3(block[g]), indices);
      pack_nibbles(indices, 8, block + kNvGroups + g * 8);
    }
  }
}

}  // namespace ponder
