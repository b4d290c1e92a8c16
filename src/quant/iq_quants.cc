#include "quant/iq_quants.h"

#include "quant/block.h"
#include "quant/iq_grids.h"

namespace ponder {
namespace {

constexpr int64_t kGroups = kIqValues / 32;

// codes[i] = bit i of signs ? -magnitudes[i] : magnitudes[i]
template <size_t kCount>
void put_signed(const std::array<int8_t, kCount>& magnitudes, unsigned signs, int8_t* codes) {
  for (size_t i = 0; i < kCount; ++i) {
    const int flip = -static_cast<int>((signs >> i) & 1u);
    codes[i] = static_cast<int8_t>((magnitudes[i] ^ flip) - flip);
  }
}

// Eight times (component + shift), where the shift is 1/8 or -1/8.
void put_shifted(const std::array<int8_t, 8>& components, bool negative, int8_t* codes) {
  const int shift = negative ? -1 : 1;
  for (size_t i = 0; i < 8; ++i) codes[i] = static_cast<int8_t>(8 * components[i] + shift);
}

// The scale of 16 or 32 values in IQ2 and IQ3_XXS; exact in float32, as all products here are.
float half_step_scale(float d, unsigned s, float factor) {
  return d * (0.5f + static_cast<float>(s)) * factor;
}
float odd_scale(float d, unsigned s) { return d * static_cast<float>(2 * s + 1); }

}  // namespace

void Iq2Xxs::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const float d = load_half(block);
  const uint8_t* group = block + 2;
  for (int64_t g = 0; g < kGroups; ++g, group += 8) {
    const auto word = load<uint32_t>(group + 4);
    scales[g] = half_step_scale(d, word >> 28, 0.25f);
    for (int64_t k = 0; k < 4; ++k, codes += 8) {
      put_signed(kIq2XxsValues[group[k]], even_signs((word >> (7 * k)) & 127u), codes);
    }
  }
}

void Iq2Xs::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const float d = load_half(block);
  const uint8_t *points = block + 2, *sub_scales = block + 66;
  for (int64_t k = 0; k < 4 * kGroups; ++k, codes += 8) {
    const unsigned word = load<uint16_t>(points + 2 * k);
    put_signed(kIq2XsValues[word & 511u], even_signs(word >> 9), codes);
  }
  for (int64_t s = 0; s < 2 * kGroups; ++s) {
    scales[s] = half_step_scale(d, (sub_scales[s / 2] >> (4 * (s % 2))) & 15u, 0.25f);
  }
}

void Iq2S::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const float d = load_half(block);
  const uint8_t *low = block + 2, *signs = low + 32, *high = signs + 32, *sub_scales = high + 8;
  for (int64_t k = 0; k < 4 * kGroups; ++k, codes += 8) {
    const unsigned upper = (high[k / 4] >> (2 * (k % 4))) & 3u;
    put_signed(kIq2SValues[low[k] | (upper << 8)], signs[k], codes);
  }
  for (int64_t s = 0; s < 2 * kGroups; ++s) {
    scales[s] = half_step_scale(d, (sub_scales[s / 2] >> (4 * (s % 2))) & 15u, 0.25f);
  }
}

void Iq3Xxs::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const float d = load_half(block);
  const uint8_t *points = block + 2, *words = points + 64;
  for (int64_t g = 0; g < kGroups; ++g) {
    const auto word = load<uint32_t>(words + 4 * g);
    scales[g] = half_step_scale(d, word >> 28, 0.5f);
    for (int64_t k = 0; k < 4; ++k, points += 2, codes += 8) {
      const unsigned signs = even_signs((word >> (7 * k)) & 127u);
      put_signed(kIq3XxsValues[points[0]], signs, codes);
      put_signed(kIq3XxsValues[points[1]], signs >> 4, codes + 4);
    }
  }
}

void Iq3S::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const float d = load_half(block);
  const uint8_t *low = block + 2, *high = low + 64, *signs = high + 8, *sub_scales = signs + 32;
  for (int64_t k = 0; k < 8 * kGroups; ++k, codes += 4) {
    const unsigned upper = (high[k / 8] >> (k % 8)) & 1u;
    put_signed(kIq3SValues[low[k] | (upper << 8)], unsigned{signs[k / 2]} >> (4 * (k % 2)), codes);
  }
  for (int64_t g = 0; g < kGroups; ++g) {
    scales[g] = odd_scale(d, (sub_scales[g / 2] >> (4 * (g % 2))) & 15u);
  }
}

void Iq1S::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const float d = load_half(block);
  const uint8_t *low = block + 2, *words = low + 32;
  for (int64_t g = 0; g < kGroups; ++g) {
    const unsigned word = load<uint16_t>(words + 2 * g);
    scales[g] = odd_scale(d, (word >> 12) & 7u) * 0.125f;
    for (int64_t k = 0; k < 4; ++k, ++low, codes += 8) {
      put_shifted(kIq1Values[*low | (((word >> (3 * k)) & 7u) << 8)], (word & 0x8000u) != 0, codes);
    }
  }
}

void Iq1M::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const uint8_t *low = block, *high = low + 32, *words = high + 16;
  for (int64_t k = 0; k < 4 * kGroups; ++k, codes += 8) {
    const unsigned nibble = (high[k / 2] >> (4 * (k % 2))) & 15u;
    put_shifted(kIq1Values[low[k] | ((nibble & 7u) << 8)], (nibble & 8u) != 0, codes);
  }
  unsigned half = 0;  // the top nibbles of the words, the lowest first
  for (int w = 0; w < 4; ++w) half |= unsigned{load<uint16_t>(words + 2 * w)} >> 12 << (4 * w);
  const float d = f16_to_f32(static_cast<uint16_t>(half));
  for (int64_t s = 0; s < 2 * kGroups; ++s) {
    const unsigned word = load<uint16_t>(words + 2 * (s / 4));
    scales[s] = odd_scale(d, (word >> (3 * (s % 4))) & 7u) * 0.125f;
  }
}

void Iq4Nl::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  scales[0] = load_half(block);
  look_up_nibbles(block + 2, kIq4Values, 16, codes);
}

void Iq4Xs::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const float d = load_half(block);
  const unsigned high = load<uint16_t>(block + 2);
  const uint8_t *low = block + 4, *quants = low + 4;
  for (int64_t g = 0; g < kGroups; ++g) {
    const unsigned s = ((low[g / 2] >> (4 * (g % 2))) & 15u) | (((high >> (2 * g)) & 3u) << 4);
    scales[g] = d * static_cast<float>(static_cast<int>(s) - 32);
    look_up_nibbles(quants + 16 * g, kIq4Values, 16, codes + 32 * g);
  }
}

}  // namespace ponder
