// Encoders of IQ2 and IQ3.
#include "quant/iq_encode.h"

#include <bit>
#include <limits>

#include "quant/iq_grids.h"
#include "quant/point_search.h"

namespace ponder {
namespace {

// Magnitudes are points of a code book; signs are free, or an even number of eight is negative.
template <size_t kComponents, size_t kLevels, size_t kGroup_, bool kEvenSigns>
class GridCoder {
 public:
  static constexpr size_t kGroup = kGroup_;
  static constexpr float kMostSubScale = 15.0f;
  static constexpr float kSigma2Factor = kComponents == 8 && kEvenSigns ? 1.0f : 2.0f;  // as ggml's
  using Group = IqGroup<kGroup>;
  using Values = IqValuesOf<kGroup>;
  static constexpr size_t kPoints = kGroup / kComponents;
  struct Codes {
    std::array<uint16_t, kPoints> points;
    std::array<uint8_t, kGroup / 8> signs;  // bit i set: value i is negative
  };

  // Around the highest level, farther apart where levels are many. More of them gain less than 1%.
  static constexpr int kTargets = kLevels > 4 ? 9 : 5;
  float target(int t) const {
    constexpr float kWidth = kLevels > 4 ? 0.8f : 0.5f;
    return levels_[kLevels - 1] + kWidth * static_cast<float>(t - kTargets / 2);
  }

  explicit GridCoder(const CodeBook& book) : book_(book), search_(book) {
    for (size_t l = 0; l < kLevels; ++l) {
      levels_[l] = static_cast<float>(book.levels[l]) / static_cast<float>(book.levels[0]);
    }
  }

  static void begin(Group& group, Codes& codes) {
    for (size_t i = 0; i < kGroup; i += 8) {
      unsigned minus = 0;
      size_t cheapest = i;
      float least = std::numeric_limits<float>::infinity();
      for (size_t j = i; j < i + 8; ++j) {
        minus |= (group.x[j] < 0.0f ? 1u : 0u) << (j - i);
        group.x[j] = std::fabs(group.x[j]);
        const float cost = group.weights[j] * group.x[j] * group.x[j];
        if (cost < least) {
          least = cost;
          cheapest = j;
        }
      }
      if (kEvenSigns && std::popcount(minus) % 2 != 0) {  // one value gets the wrong sign
        group.x[cheapest] = -group.x[cheapest];
        minus ^= 1u << (cheapest - i);
      }
      codes.signs[i / 8] = static_cast<uint8_t>(minus);
    }
  }

  void assign(const Group& group, float scale, Codes& codes, Values& values) const {
    for (size_t p = 0; p < kPoints; ++p) {
      LevelCosts<kComponents, kLevels> costs;
      for (size_t i = 0; i < kComponents; ++i) {
        const float x = group.x[p * kComponents + i], w = group.weights[p * kComponents + i];
        for (size_t l = 0; l < kLevels; ++l) {
          const float error = scale * levels_[l] - x;
          costs[i][l] = w * error * error;
        }
      }
      codes.points[p] = search_.cheapest(costs, codes.points[p]).point;
      for (size_t i = 0; i < kComponents; ++i) {
        values[p * kComponents + i] = levels_[book_.level(codes.points[p], i)];
      }
    }
  }

 private:
  CodeBook book_;
  PointSearch<kComponents, kLevels> search_;
  std::array<float, kLevels> levels_;  // in units of the lowest
};

// Two sub-scales to a byte.
template <size_t kCount>
void pack_sub_scales(const std::array<uint8_t, kCount>& sub_scales, uint8_t* to) {
  for (size_t i = 0; i < kCount; i += 2) {
    to[i / 2] = static_cast<uint8_t>(sub_scales[i] | (sub_scales[i + 1] << 4));
  }
}

// Four groups of even signs and a sub-scale.
uint32_t signs_and_scale(const std::array<uint8_t, 4>& signs, unsigned sub_scale) {
  uint32_t word = sub_scale << 28;
  for (size_t k = 0; k < 4; ++k) word |= (signs[k] & 127u) << (7 * k);
  return word;
}

}  // namespace

void Iq2Xxs::encode(const float* src, const float* importance, void* dst, int64_t n) {
  using Coder = GridCoder<8, 3, 32, true>;
  static const Coder coder(kIq2XxsBook);
  encode_iq_row(coder, src, importance, dst, n, kBytes,
                [](const IqBlock<Coder>& block, uint8_t* to) {
                  store_half(to, block.d);
                  to += 2;
                  for (size_t g = 0; g < 8; ++g, to += 8) {
                    const Coder::Codes& codes = block.groups[g];
                    for (size_t k = 0; k < 4; ++k) to[k] = static_cast<uint8_t>(codes.points[k]);
                    store(to + 4, signs_and_scale(codes.signs, block.sub_scales[g]));
                  }
                });
}

void Iq2Xs::encode(const float* src, const float* importance, void* dst, int64_t n) {
  using Coder = GridCoder<8, 3, 16, true>;
  static const Coder coder(kIq2XsBook);
  encode_iq_row(coder, src, importance, dst, n, kBytes,
                [](const IqBlock<Coder>& block, uint8_t* to) {
                  store_half(to, block.d);
                  to += 2;
                  for (size_t k = 0; k < 32; ++k, to += 2) {
                    const Coder::Codes& codes = block.groups[k / 2];
                    const unsigned signs = codes.signs[k % 2] & 127u;
                    store(to, static_cast<uint16_t>(codes.points[k % 2] | (signs << 9)));
                  }
                  pack_sub_scales(block.sub_scales, to);
                });
}

void Iq2S::encode(const float* src, const float* importance, void* dst, int64_t n) {
  using Coder = GridCoder<8, 3, 16, false>;
  static const Coder coder(kIq2SBook);
  encode_iq_row(coder, src, importance, dst, n, kBytes,
                [](const IqBlock<Coder>& block, uint8_t* to) {
                  store_half(to, block.d);
                  uint8_t *low = to + 2, *signs = low + 32, *high = signs + 32;
                  std::fill_n(high, 8, uint8_t{0});
                  for (size_t k = 0; k < 32; ++k) {
                    const Coder::Codes& codes = block.groups[k / 2];
                    const unsigned point = codes.points[k % 2];
                    low[k] = static_cast<uint8_t>(point);
                    signs[k] = codes.signs[k % 2];
                    high[k / 4] = static_cast<uint8_t>(high[k / 4] | (point >> 8 << (2 * (k % 4))));
                  }
                  pack_sub_scales(block.sub_scales, high + 8);
                });
}

void Iq3Xxs::encode(const float* src, const float* importance, void* dst, int64_t n) {
  using Coder = GridCoder<4, 8, 32, true>;
  static const Coder coder(kIq3XxsBook);
  encode_iq_row(coder, src, importance, dst, n, kBytes,
                [](const IqBlock<Coder>& block, uint8_t* to) {
                  store_half(to, block.d);
                  uint8_t *points = to + 2, *words = points + 64;
                  for (size_t g = 0; g < 8; ++g, points += 8, words += 4) {
                    const Coder::Codes& codes = block.groups[g];
                    for (size_t k = 0; k < 8; ++k)
                      points[k] = static_cast<uint8_t>(codes.points[k]);
                    store(words, signs_and_scale(codes.signs, block.sub_scales[g]));
                  }
                });
}

void Iq3S::encode(const float* src, const float* importance, void* dst, int64_t n) {
  using Coder = GridCoder<4, 8, 32, false>;
  static const Coder coder(kIq3SBook);
  encode_iq_row(coder, src, importance, dst, n, kBytes,
                [](const IqBlock<Coder>& block, uint8_t* to) {
                  store_half(to, block.d);
                  uint8_t *low = to + 2, *high = low + 64, *signs = high + 8;
                  for (size_t g = 0; g < 8; ++g) {
                    const Coder::Codes& codes = block.groups[g];
                    unsigned upper = 0;
                    for (size_t k = 0; k < 8; ++k) {
                      low[8 * g + k] = static_cast<uint8_t>(codes.points[k]);
                      upper |= unsigned{codes.points[k]} >> 8 << k;
                    }
                    high[g] = static_cast<uint8_t>(upper);
                    std::copy(codes.signs.begin(), codes.signs.end(), signs + 4 * g);
                  }
                  pack_sub_scales(block.sub_scales, signs + 32);
                });
}

}  // namespace ponder
