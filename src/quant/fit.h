// The searches by which encoders choose scales. They follow ggml's make_qx_quants and
// make_qkx3_quants: try grids somewhat finer and coarser than the one that just holds the largest
// value, take for each the scale (and offset) of least squares, keep the best. Callers round their
// codes anew once the scale has its final, stored value. Any input gives a defined result.
#pragma once

#include <cstdint>

namespace ponder {

constexpr int64_t kFitMost = 32;

// The scale s for which sum of weights[i] * (x[i] - s * q[i])^2 is small, q[i] integers in
// [low, high]. low is -high - 1 (s then has the sign that gives the largest |x| the code low), or 0
// (for x >= 0). 0 if all x are (nearly) zero. n: a multiple of 4.
float fit_scale(const float* x, const float* weights, int64_t n, float low, float high);

struct Affine {
  float scale;
  float offset;
};

// Likewise for s * q[i] + offset, q[i] in [0, high] and offset <= highest_offset. n: a multiple of 4,
// at most kFitMost.
Affine fit_affine(const float* x, const float* weights, int64_t n, float high,
                  float highest_offset);

// The offset, at most 0, that suits `fit.scale` once that has been rounded, `fit.offset` being a
// good one before. n: a multiple of 4.
float fit_offset(const float* x, const float* weights, int64_t n, float high, const Affine& fit);

// out[i] = importance[i] * sqrt(sigma2 + x[i]^2): large weights count more than their column alone
// says, by as much as ggml lets them.
void importance_weights(const float* x, const float* importance, float sigma2, int64_t n,
                        float* out);

// Mean of x[i]^2; n: a multiple of 4.
float mean_square(const float* x, int64_t n);

}  // namespace ponder
