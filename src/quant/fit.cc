#include "quant/fit.h"

#include <cmath>
#include <limits>

#include "quant/block.h"

namespace ponder {
namespace {

// Four sums side by side, added up at the end: one order on every machine.
using F4 = float __attribute__((vector_size(16)));

F4 load4(const float* from) {
  F4 value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
F4 all(float value) { return F4{value, value, value, value}; }
float sum(F4 v) { return (v[0] + v[2]) + (v[1] + v[3]); }

struct Range {
  float low, high;
};

// NaN is passed over.
Range range_of(const float* x, int64_t n) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  F4 low = all(kInfinity), high = all(-kInfinity);
  for (int64_t i = 0; i < n; i += 4) {
    const F4 value = load4(x + i);
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  Range range{low[0], high[0]};
  for (int j = 1; j < 4; ++j) {
    range.low = std::fmin(range.low, low[j]);
    range.high = std::fmax(range.high, high[j]);
  }
  return range;
}

constexpr float kNothing = 1e-15f;  // ggml's bound below which a group is all zero

}  // namespace

float fit_scale(const float* x, const float* weights, int64_t n, float low, float high) {
  constexpr int kSteps = 9;
  const Range range = range_of(x, n);
  const float largest = range.high > -range.low ? range.high : range.low;
  if (!(std::fabs(largest) >= kNothing)) return 0.0f;
  const float end = low < 0.0f ? low : high;  // the code of `largest`
  float scale = largest / end, best = 0.0f;
  for (int step = -kSteps; step <= kSteps; ++step) {
    const F4 inverse = all((end + 0.1f * static_cast<float>(step)) / largest);
    F4 xq = all(0.0f), qq = all(0.0f);
    for (int64_t i = 0; i < n; i += 4) {
      const F4 value = load4(x + i);
      const F4 q = round_code(inverse * value, all(low), all(high));
      const F4 wq = load4(weights + i) * q;
      xq += wq * value;
      qq += wq * q;
    }
    const float sum_xq = sum(xq), candidate = sum_xq / sum(qq);
    if (candidate * sum_xq > best) {  // false too where a sum is NaN, or all weights are zero
      best = candidate * sum_xq;
      scale = candidate;
    }
  }
  return scale;
}

Affine fit_affine(const float* x, const float* weights, int64_t n, float high,
                  float highest_offset) {
  constexpr int kSteps = 36;
  constexpr float kFirst = -0.9f, kDelta = 0.05f;
  F4 w4 = all(0.0f), wx4 = all(0.0f);
  for (int64_t i = 0; i < n; i += 4) {
    const F4 w = load4(weights + i);
    w4 += w;
    wx4 += w * load4(x + i);
  }
  const float sum_w = sum(w4), sum_x = sum(wx4);
  Range range = range_of(x, n);
  if (!(range.low <= range.high)) return {0.0f, 0.0f};  // nothing but NaN
  range.low = std::fmin(range.low, highest_offset);
  if (!(range.high > range.low)) return {0.0f, range.low};

  F4 codes[kFitMost / 4];
  const auto error_of = [&](const Affine& fit) {
    F4 error = all(0.0f);
    for (int64_t i = 0; i < n; i += 4) {
      const F4 difference = fit.scale * codes[i / 4] + fit.offset - load4(x + i);
      error += load4(weights + i) * difference * difference;
    }
    return sum(error);
  };
  const auto round_all = [&](float inverse, float offset) {
    for (int64_t i = 0; i < n; i += 4) {
      codes[i / 4] = round_code(inverse * (load4(x + i) - offset), all(0.0f), all(high));
    }
  };

  const float width = range.high - range.low;
  Affine best{width / high, range.low};
  round_all(high / width, best.offset);
  float best_error = error_of(best);
  for (int step = 0; step <= kSteps; ++step) {
    round_all((kFirst + kDelta * static_cast<float>(step) + high) / width, best.offset);
    F4 q4 = all(0.0f), qq4 = all(0.0f), xq4 = all(0.0f);
    for (int64_t i = 0; i < n; i += 4) {
      const F4 q = codes[i / 4], wq = load4(weights + i) * q;
      q4 += wq;
      qq4 += wq * q;
      xq4 += wq * load4(x + i);
    }
    const float sum_q = sum(q4), sum_qq = sum(qq4), sum_xq = sum(xq4);
    const float determinant = sum_w * sum_qq - sum_q * sum_q;
    if (!(determinant > 0.0f)) continue;
    Affine fit{(sum_w * sum_xq - sum_x * sum_q) / determinant,
               (sum_qq * sum_x - sum_q * sum_xq) / determinant};
    if (fit.offset > highest_offset) {
      fit.offset = highest_offset;
      fit.scale = (sum_xq - highest_offset * sum_q) / sum_qq;
    }
    const float error = error_of(fit);
    if (error < best_error) {
      best_error = error;
      best = fit;
    }
  }
  return best;
}

float fit_offset(const float* x, const float* weights, int64_t n, float high, const Affine& fit) {
  const float inverse = inverse_or_zero(fit.scale);
  F4 sums = all(0.0f), rests = all(0.0f);
  for (int64_t i = 0; i < n; i += 4) {
    const F4 value = load4(x + i), w = load4(weights + i);
    const F4 q = round_code((value - fit.offset) * inverse, all(0.0f), all(high));
    sums += w;
    rests += w * (value - fit.scale * q);
  }
  const float offset = sum(rests) / sum(sums);
  return std::isnan(offset) ? fit.offset : std::fmin(offset, 0.0f);  // NaN: no weight at all
}

void importance_weights(const float* x, const float* importance, float sigma2, int64_t n,
                        float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = importance[i] * std::sqrt(sigma2 + x[i] * x[i]);
}

float mean_square(const float* x, int64_t n) {
  F4 squares = all(0.0f);
  for (int64_t i = 0; i < n; i += 4) squares += load4(x + i) * load4(x + i);
  return sum(squares) / static_cast<float>(n);
}

}  // namespace ponder
