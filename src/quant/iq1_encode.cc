// Encoders of IQ1_S and IQ1_M.
#include <limits>

#include "quant/iq_encode.h"
#include "quant/iq_grids.h"
#include "quant/point_search.h"

namespace ponder {
namespace {

// Values are (component of a point) + shift, the shift 1/8 or -1/8 for each kSpan values.
template <size_t kGroup_, size_t kSpan>
class ShiftedCoder {
 public:
  static constexpr size_t kGroup = kGroup_;
  static constexpr float kMostSubScale = 7.0f;
  static constexpr float kSigma2Factor = 2.0f;
  using Group = IqGroup<kGroup>;
  using Values = IqValuesOf<kGroup>;
  static constexpr size_t kPoints = kGroup / 8;
  struct Codes {
    std::array<uint16_t, kPoints> points;
    std::array<uint8_t, kPoints> negative;  // 1: the shift is -1/8
  };

  // Three levels serve best if the largest magnitude lies well above them.
  static constexpr int kTargets = 6;
  static float target(int t) { return 1.0f + 0.4f * static_cast<float>(t); }

  ShiftedCoder() : search_(kIq1Book) {}

  static void begin(Group&, Codes&) {}

  void assign(const Group& group, float scale, Codes& codes, Values& values) const {
    constexpr size_t kSpanPoints = kSpan / 8;
    for (size_t first = 0; first < kPoints; first += kSpanPoints) {
      float least = std::numeric_limits<float>::infinity();
      const Codes before = codes;
      for (const unsigned negative : {0u, 1u}) {
        std::array<uint16_t, kSpanPoints> points;
        float cost = 0.0f;
        for (size_t p = 0; p < kSpanPoints; ++p) {
          const auto found = search_.cheapest(costs_of(group, first + p, scale, shift_of(negative)),
                                              before.points[first + p]);
          points[p] = found.point;
          cost += found.cost;
        }
        if (!(cost < least)) continue;
        least = cost;
        std::copy(points.begin(), points.end(), &codes.points[first]);
        std::fill_n(&codes.negative[first], kSpanPoints, static_cast<uint8_t>(negative));
      }
    }
    for (size_t i = 0; i < kGroup; ++i) {
      const size_t p = i / 8;
      values[i] = level(kIq1Book.level(codes.points[p], i % 8)) + shift_of(codes.negative[p]);
    }
  }

 private:
  static float shift_of(unsigned negative) { return negative != 0 ? -0.125f : 0.125f; }
  static float level(size_t number) { return static_cast<float>(number) - 1.0f; }

  static LevelCosts<8, 3> costs_of(const Group& group, size_t point, float scale, float shift) {
    LevelCosts<8, 3> costs;
    for (size_t i = 0; i < 8; ++i) {
      const float x = group.x[8 * point + i], w = group.weights[8 * point + i];
      for (size_t l = 0; l < 3; ++l) {
        const float error = scale * (level(l) + shift) - x;
        costs[i][l] = w * error * error;
      }
    }
    return costs;
  }

  PointSearch<8, 3> search_;
};

}  // namespace

void Iq1S::encode(const float* src, const float* importance, void* dst, int64_t n) {
  using Coder = ShiftedCoder<32, 32>;
  static const Coder coder;
  encode_iq_row(
      coder, src, importance, dst, n, kBytes, [](const IqBlock<Coder>& block, uint8_t* to) {
        store_half(to, block.d);
        uint8_t *low = to + 2, *words = low + 32;
        for (size_t g = 0; g < 8; ++g, low += 4, words += 2) {
          const Coder::Codes& codes = block.groups[g];
          unsigned word = unsigned{block.sub_scales[g]} << 12 | unsigned{codes.negative[0]} << 15;
          for (size_t k = 0; k < 4; ++k) {
            low[k] = static_cast<uint8_t>(codes.points[k]);
            word |= unsigned{codes.points[k]} >> 8 << (3 * k);
          }
          store(words, static_cast<uint16_t>(word));
        }
      });
}

void Iq1M::encode(const float* src, const float* importance, void* dst, int64_t n) {
  using Coder = ShiftedCoder<16, 8>;
  static const Coder coder;
  encode_iq_row(coder, src, importance, dst, n, kBytes,
                [](const IqBlock<Coder>& block, uint8_t* to) {
                  uint8_t *low = to, *high = low + 32, *words = high + 16;
                  for (size_t g = 0; g < 16; ++g) {
                    const Coder::Codes& codes = block.groups[g];
                    unsigned nibbles = 0;
                    for (size_t k = 0; k < 2; ++k) {
                      const unsigned point = codes.points[k], negative = codes.negative[k];
                      low[2 * g + k] = static_cast<uint8_t>(point);
                      nibbles |= (point >> 8 | negative << 3) << (4 * k);
                    }
                    high[g] = static_cast<uint8_t>(nibbles);
                  }
                  const unsigned half = f32_to_f16(block.d);
                  for (size_t w = 0; w < 4; ++w) {
                    unsigned word = (half >> (4 * w) & 15u) << 12;
                    for (size_t s = 0; s < 4; ++s)
                      word |= unsigned{block.sub_scales[4 * w + s]} << (3 * s);
                    store(words + 2 * w, static_cast<uint16_t>(word));
                  }
                });
}

}  // namespace ponder
