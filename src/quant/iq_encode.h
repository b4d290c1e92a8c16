// What the encoders of IQ1, IQ2 and IQ3 share: the search for the scales of a block. As in ggml, each
// group of 16 or 32 values first gets the scale of least weighted squared error, found by trying
// several; then the block's d comes from the largest. Other than in ggml, points are chosen again
// once scales are rounded to sub-scales, and d once more after that, by least squares.
//
// A Coder turns a group of values into codes at a given scale:
//   static constexpr size_t kGroup;            // values per scale
//   static constexpr float kMostSubScale;      // value = d * (2 * sub-scale + 1) * unit
//   static constexpr float kSigma2Factor;      // of the mean square in importance_weights()
//   static constexpr int kTargets; float target(int);  // multiples of the scale at which to try the
//                                                      // largest magnitude of a group
//   struct Codes;                              // of a group
//   static void begin(Group&, Codes&);         // signs that do not depend on the scale
//   void assign(const Group&, float scale, Codes&, Values&) const;  // nearest codes, in units
// Any input gives a defined result.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "quant/block.h"
#include "quant/fit.h"
#include "quant/iq_quants.h"
#include "quant/reduce.h"

namespace ponder {

template <size_t kGroup>
using IqValuesOf = std::array<float, kGroup>;

template <size_t kGroup>
struct IqGroup {
  IqValuesOf<kGroup> x;  // begin() may replace values by magnitudes
  IqValuesOf<kGroup> weights;
};

template <typename Coder>
struct IqBlock {
  static constexpr size_t kGroups = kIqValues / Coder::kGroup;
  float d;
  std::array<uint8_t, kGroups> sub_scales;
  std::array<typename Coder::Codes, kGroups> groups;
};

struct FitSums {
  float xq, qq;  // of weight * x * value, weight * value^2
};

template <size_t kGroup>
FitSums fit_sums(const IqGroup<kGroup>& group, const IqValuesOf<kGroup>& values) {
  return {lane_sum<kGroup>([&](size_t i) { return group.weights[i] * group.x[i] * values[i]; }),
          lane_sum<kGroup>([&](size_t i) { return group.weights[i] * values[i] * values[i]; })};
}

// The best scale of a group; 0 if there is none. Leaves in `codes` what the search ended with.
template <typename Coder>
float fit_group_scale(const Coder& coder, const IqGroup<Coder::kGroup>& group,
                      typename Coder::Codes& codes) {
  constexpr float kTiny = 1e-8f;  // groups that nowhere exceed this are zero
  const float largest = largest_magnitude(group.x.data(), Coder::kGroup);
  if (!(largest >= kTiny)) return 0.0f;
  float scale = 0.0f, best = 0.0f;
  for (int t = 0; t < Coder::kTargets; ++t) {
    IqValuesOf<Coder::kGroup> values;
    coder.assign(group, largest / coder.target(t), codes, values);
    const FitSums sums = fit_sums(group, values);
    if (sums.xq > 0.0f && sums.qq > 0.0f && sums.xq * sums.xq > best * sums.qq) {
      scale = sums.xq / sums.qq;
      best = scale * sums.xq;
    }
  }
  return scale;
}

// x: kIqValues values; importance: as many, or null for equal ones.
template <typename Coder>
IqBlock<Coder> encode_iq_block(const Coder& coder, const float* x, const float* importance) {
  constexpr size_t kGroup = Coder::kGroup, kGroups = IqBlock<Coder>::kGroups;
  IqValuesOf<kGroup> ones;
  ones.fill(1.0f);
  const float sigma2 = Coder::kSigma2Factor * mean_square(x, kIqValues);
  IqBlock<Coder> block{};
  std::array<IqGroup<kGroup>, kGroups> groups;
  std::array<float, kGroups> scales;
  for (size_t g = 0; g < kGroups; ++g) {
    std::copy_n(x + g * kGroup, kGroup, groups[g].x.begin());
    importance_weights(groups[g].x.data(), importance ? importance + g * kGroup : ones.data(),
                       sigma2, kGroup, groups[g].weights.data());
    Coder::begin(groups[g], block.groups[g]);
    scales[g] = fit_group_scale(coder, groups[g], block.groups[g]);
  }
  const float largest = *std::max_element(scales.begin(), scales.end());
  if (!(largest > 0.0f && std::isfinite(largest))) return IqBlock<Coder>{};
  const float d = largest / (2.0f * Coder::kMostSubScale + 1.0f);
  FitSums total{0.0f, 0.0f};
  for (size_t g = 0; g < kGroups; ++g) {
    const float s = round_code(0.5f * (scales[g] / d - 1.0f), 0.0f, Coder::kMostSubScale);
    const float factor = 2.0f * s + 1.0f;
    block.sub_scales[g] = static_cast<uint8_t>(s);
    IqValuesOf<kGroup> values;
    coder.assign(groups[g], d * factor, block.groups[g], values);
    const FitSums sums = fit_sums(groups[g], values);
    total.xq += factor * sums.xq;
    total.qq += factor * factor * sums.qq;
  }
  block.d = total.qq > 0.0f ? total.xq / total.qq : d;
  return block;
}

// Encodes a row; pack(block, bytes) writes a block of `bytes_per_block`.
template <typename Coder, typename Pack>
void encode_iq_row(const Coder& coder, const float* src, const float* importance, void* dst,
                   int64_t n, int64_t bytes_per_block, Pack pack) {
  auto* bytes = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kIqValues, bytes += bytes_per_block) {
    pack(encode_iq_block(coder, src + i, importance == nullptr ? nullptr : importance + i), bytes);
  }
}

}  // namespace ponder
