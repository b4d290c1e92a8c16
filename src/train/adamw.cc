#include "train/adamw.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"

namespace ponder {
namespace {

// b^n by squaring: the same bits with every libm.
double power(double b, int64_t n) {
  double result = 1;
  for (; n > 0; n >>= 1, b *= b) {
    if (n & 1) result *= b;
  }
  return result;
}

}  // namespace

AdamWStep adamw_step(const AdamWParams& p, double lr, int64_t t, double grad_scale) {
  PONDER_CHECK(t >= 1 && p.eps > 0);
  PONDER_CHECK(0 <= p.beta1 && p.beta1 < 1 && 0 <= p.beta2 && p.beta2 < 1);
  AdamWStep s;
  s.keep = static_cast<float>(1 - lr * p.weight_decay);
  s.beta1 = static_cast<float>(p.beta1);
  s.beta2 = static_cast<float>(p.beta2);
  s.rest1 = static_cast<float>(1 - p.beta1);
  s.rest2 = static_cast<float>(1 - p.beta2);
  s.root2 = static_cast<float>(std::sqrt(1 - power(p.beta2, t)));
  s.eps = static_cast<float>(p.eps);
  s.rate = static_cast<float>(lr / (1 - power(p.beta1, t)));
  s.grad_scale = static_cast<float>(grad_scale);
  return s;
}

void adamw_update(const AdamWStep& step, float* __restrict w, const float* __restrict grad,
                  float* __restrict m, float* __restrict v, int64_t begin, int64_t end) {
  const AdamWStep s = step;
  for (int64_t i = begin; i < end; ++i) {
    const float g = s.grad_scale * grad[i];
    const float mi = s.beta1 * m[i] + s.rest1 * g;
    const float vi = s.beta2 * v[i] + s.rest2 * (g * g);
    m[i] = mi;
    v[i] = vi;
    w[i] = s.keep * w[i] - s.rate * (mi / (std::sqrt(vi) / s.root2 + s.eps));
  }
}

void sum_squares(std::span<const float> grad, int64_t begin, int64_t end,
                 std::span<double> partials) {
  const int64_t size = static_cast<int64_t>(grad.size());
  PONDER_CHECK(0 <= begin && end <= norm_chunks(size));
  PONDER_CHECK(end <= static_cast<int64_t>(partials.size()));
  constexpr int64_t kLanes = 8;  // element i goes to sum i mod 8
  for (int64_t c = begin; c < end; ++c) {
    const float* x = grad.data() + c * kNormChunk;
    const int64_t count = std::min(kNormChunk, size - c * kNormChunk);
    double lanes[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      for (int64_t l = 0; l < kLanes; ++l) {
        lanes[l] += static_cast<double>(x[i + l]) * static_cast<double>(x[i + l]);
      }
    }
    for (int64_t l = 0; i + l < count; ++l) {
      lanes[l] += static_cast<double>(x[i + l]) * static_cast<double>(x[i + l]);
    }
    double sum = 0;
    for (double lane : lanes) sum += lane;
    partials[static_cast<size_t>(c)] = sum;
  }
}

double global_norm(std::span<const double> partials) {
  double sum = 0;
  for (double p : partials) sum += p;
  return std::sqrt(sum);
}

double clip_scale(double norm, double max_norm) {
  if (max_norm == 0) return 1;
  return std::min(1.0, max_norm / (norm + 1e-6));
}

}  // namespace ponder
