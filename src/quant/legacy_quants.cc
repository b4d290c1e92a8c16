#include "quant/legacy_quants.h"

#include <cmath>
#include <limits>

#include "quant/block.h"
#include "quant/fit.h"

namespace ponder {
namespace {

// Toward zero and held to [0, high]; NaN gives 0.
uint8_t truncated_code(float x, float high) {
  const float above = x > 0.0f ? x : 0.0f;
  return static_cast<uint8_t>(above < high ? above : high);
}

// The element of largest magnitude; of equal ones the first. NaN is passed over.
float largest_of(const float* x, int64_t n) {
  float largest = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    if (std::fabs(largest) < std::fabs(x[i])) largest = x[i];
  }
  return largest;
}

// ggml's scale and minimum without importance: the block's range laid on the codes.
template <bool kMinimum>
Affine range_fit(const float* x, int64_t n, float most_code) {
  if constexpr (!kMinimum) return {largest_of(x, n) / -((most_code + 1.0f) / 2.0f), 0.0f};
  float low = std::numeric_limits<float>::max(), high = -low;
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  return {(high - low) / most_code, low};
}

// Of least weighted error.
template <bool kMinimum>
Affine weighted_fit(const float* x, const float* weights, int64_t n, float most_code) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if constexpr (kMinimum) return fit_affine(x, weights, n, most_code, kInfinity);
  const float half = (most_code + 1.0f) / 2.0f;
  return {fit_scale(x, weights, n, -half, half - 1.0f), 0.0f};
}

}  // namespace

template <int kBits, bool kMinimum>
void LegacyBlock<kBits, kMinimum>::unpack(const uint8_t* block, int8_t* codes, float* scales,
                                          float* offsets) {
  scales[0] = load_half(block);
  if constexpr (kMinimum) offsets[0] = load_half(block + 2);
  constexpr int kZero = kMinimum ? 0 : 1 << (kBits - 1);
  const uint8_t* low = block + kLowAt;
  for (int j = 0; j < 16; ++j) {
    codes[j] = static_cast<int8_t>((low[j] & 15) - kZero);
    codes[j + 16] = static_cast<int8_t>((low[j] >> 4) - kZero);
  }
  if constexpr (kBits == 5) {
    const uint32_t high = load<uint32_t>(block + kHighAt);
    for (int j = 0; j < 32; ++j) {
      codes[j] = static_cast<int8_t>(codes[j] + static_cast<int>((high >> j) & 1u) * 16);
    }
  }
}

template <int kBits, bool kMinimum>
void LegacyBlock<kBits, kMinimum>::encode(const float* src, const float* importance, void* dst,
                                          int64_t n) {
  constexpr float kMost = (1 << kBits) - 1;
  constexpr float kShift = kMinimum ? 0.5f : 0.5f + (1 << (kBits - 1));
  const float sigma2 = importance != nullptr ? mean_square(src, n) : 0.0f;
  auto* block = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kValues, block += kBytes) {
    const float* x = src + i;
    Affine fit;
    if (importance == nullptr) {
      // As ggml has it, codes come from these numbers before their rounding to binary16.
      fit = range_fit<kMinimum>(x, kValues, kMost);
      store_half(block, fit.scale);
      if constexpr (kMinimum) store_half(block + 2, fit.offset);
    } else {
      float weights[kValues];
      importance_weights(x, importance + i, sigma2, kValues, weights);
      fit = weighted_fit<kMinimum>(x, weights, kValues, kMost);
      fit.scale = store_half(block, fit.scale);
      if constexpr (kMinimum) fit.offset = store_half(block + 2, fit.offset);
    }
    const float inverse = inverse_or_zero(fit.scale);
    uint8_t codes[kValues];
    uint32_t high = 0;
    for (int j = 0; j < kValues; ++j) {
      codes[j] = truncated_code((x[j] - fit.offset) * inverse + kShift, kMost);
      high |= static_cast<uint32_t>(codes[j] >> 4) << j;
    }
    if constexpr (kBits == 5) store(block + kHighAt, high);
    for (int j = 0; j < 16; ++j) {
      block[kLowAt + j] = static_cast<uint8_t>((codes[j] & 15) | (codes[j + 16] << 4));
    }
  }
}

template struct LegacyBlock<4, false>;
template struct LegacyBlock<4, true>;
template struct LegacyBlock<5, false>;
template struct LegacyBlock<5, true>;

}  // namespace ponder
