// Encoders of IQ4_NL and IQ4_XS: for each 32 values, scales around those that give the largest value
// the first (and largest) entry of the table; the one of least weighted squared error wins. As
// ggml's.
#include <algorithm>
#include <cmath>

#include "quant/block.h"
#include "quant/fit.h"
#include "quant/iq_quants.h"
#include "quant/nibble_codes.h"
#include "quant/reduce.h"

namespace ponder {
namespace {

constexpr int64_t kGroup = 32;
constexpr int kEntries = 16;
constexpr float kTiny = 1e-15f;  // groups that nowhere exceed this are zero

// x is nearest to entry k or a later one from the middle between k - 1 and k on.
constexpr float middle_below(int k) {
  return 0.5f * static_cast<float>(kIq4Values[static_cast<size_t>(k)] +
                                   kIq4Values[static_cast<size_t>(k - 1)]);
}
constexpr float gap_below(int k) {
  return static_cast<float>(kIq4Values[static_cast<size_t>(k)] -
                            kIq4Values[static_cast<size_t>(k - 1)]);
}

// Numbers of the entries nearest to x[i] * inverse; 0 for what is not a number.
void nearest_entries(const float* x, float inverse, uint8_t* entries) {
  float scaled[kGroup];
  int32_t count[kGroup] = {};
  for (int64_t i = 0; i < kGroup; ++i) scaled[i] = x[i] * inverse;
  for (int k = 1; k < kEntries; ++k) {
    const float middle = middle_below(k);
    for (int64_t i = 0; i < kGroup; ++i) count[i] += scaled[i] >= middle ? 1 : 0;
  }
  for (int64_t i = 0; i < kGroup; ++i) entries[i] = static_cast<uint8_t>(count[i]);
}

struct Sums {
  float qx, q2;  // of weight * value * x, weight * value^2
};

// For the values nearest to x[i] * inverse. `weighted` is weights[i] * x[i].
Sums sums_at(const float* x, const float* weights, const float* weighted, float inverse) {
  float scaled[kGroup], value[kGroup];
  for (int64_t i = 0; i < kGroup; ++i) {
    scaled[i] = x[i] * inverse;
    value[i] = kIq4Values[0];
  }
  for (int k = 1; k < kEntries; ++k) {
    const float middle = middle_below(k), gap = gap_below(k);
    for (int64_t i = 0; i < kGroup; ++i) value[i] += scaled[i] >= middle ? gap : 0.0f;
  }
  return {lane_sum<kGroup>([&](size_t i) { return weighted[i] * value[i]; }),
          lane_sum<kGroup>([&](size_t i) { return weights[i] * value[i] * value[i]; })};
}

// The scale for 32 values; 0 if there is nothing to scale.
float fit_group(const float* x, const float* importance, float sigma2) {
  float weights[kGroup], weighted[kGroup];
  if (importance != nullptr) {
    importance_weights(x, importance, sigma2, kGroup, weights);
  } else {
    for (int64_t i = 0; i < kGroup; ++i) weights[i] = x[i] * x[i];
  }
  for (int64_t i = 0; i < kGroup; ++i) weighted[i] = weights[i] * x[i];
  float largest = 0.0f;
  for (int64_t i = 0; i < kGroup; ++i) {
    if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
  }
  if (!(std::fabs(largest) >= kTiny)) return 0.0f;

  float scale = 0.0f, best = 0.0f;
  const auto consider = [&](float target) {
    const Sums sums = sums_at(x, weights, weighted, target / largest);
    if (sums.q2 > 0.0f && sums.qx * sums.qx > best * sums.q2) {
      scale = sums.qx / sums.q2;
      best = scale * sums.qx;
    }
  };
  constexpr float kFirst = kIq4Values[0];
  consider(-kFirst);
  for (int step = -7; step <= 7; ++step) consider(kFirst + static_cast<float>(step));
  return scale;
}

float inverse_of(float scale) { return scale != 0.0f ? 1.0f / scale : 0.0f; }

}  // namespace

void Iq4Nl::encode(const float* src, const float* importance, void* dst, int64_t n) {
  auto* block = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kValues, block += kBytes) {
    const float* x = src + i;
    const float sigma2 = 2.0f * mean_square(x, kValues);
    const float scale = fit_group(x, importance == nullptr ? nullptr : importance + i, sigma2);
    uint8_t entries[kValues];
    nearest_entries(x, inverse_of(store_half(block, scale)), entries);
    pack_nibbles(entries, kValues / 2, block + 2);
  }
}

void Iq4Xs::encode(const float* src, const float* importance, void* dst, int64_t n) {
  constexpr int64_t kGroups = kValues / kGroup;
  auto* block = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kValues, block += kBytes) {
    const float* x = src + i;
    const float sigma2 = 2.0f * mean_square(x, kValues);
    float scales[kGroups], largest = 0.0f;
    for (int64_t g = 0; g < kGroups; ++g) {
      const int64_t at = g * kGroup;
      scales[g] = fit_group(x + at, importance == nullptr ? nullptr : importance + i + at, sigma2);
      if (std::fabs(scales[g]) > std::fabs(largest)) largest = scales[g];
    }
    const float d = store_half(block, largest / -32.0f), inverse = inverse_of(d);
    uint8_t low[kGroups / 2] = {};
    unsigned high = 0;
    for (int64_t g = 0; g < kGroups; ++g) {
      const float code = round_code(scales[g] * inverse, -32.0f, 31.0f);
      const unsigned s = static_cast<unsigned>(static_cast<int>(code) + 32);
      low[g / 2] = static_cast<uint8_t>(low[g / 2] | ((s & 15u) << (4 * (g % 2))));
      high |= (s >> 4) << (2 * g);
      uint8_t entries[kGroup];
      nearest_entries(x + g * kGroup, inverse_of(d * code), entries);
      pack_nibbles(entries, kGroup / 2, block + 8 + g * kGroup / 2);
    }
    store(block + 2, static_cast<uint16_t>(high));
    std::copy_n(low, sizeof low, block + 4);
  }
}

}  // namespace ponder
