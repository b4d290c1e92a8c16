// AdamW (Loshchilov and Hutter 2019) over flat f32 buffers, and clipping by the global gradient
// norm. Every function works on a range, so that threads may share the work: elements are
// independent, and the norm is summed in chunks whose bounds and order are fixed. The bits do not
// depend on how the ranges are cut.
#pragma once

#include <cstdint>
#include <span>

namespace ponder {

struct AdamWParams {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
};

// The constants of one step, worked out in double and rounded once.
struct AdamWStep {
  float keep;          // 1 - lr weight_decay
  float beta1, beta2;  // b1, b2
  float rest1, rest2;  // 1 - b1, 1 - b2
  float root2;         // sqrt(1 - b2^t)
  float eps;
  float rate;        // lr / (1 - b1^t)
  float grad_scale;  // of the clip
};

// t counts updates from 1. REQUIRES: t >= 1, 0 <= betas < 1, eps > 0.
AdamWStep adamw_step(const AdamWParams& params, double lr, int64_t t, double grad_scale = 1);

// For each i in [begin, end), all in f32, in this order:
//   g = grad_scale grad[i]
//   m[i] = b1 m[i] + (1 - b1) g
//   v[i] = b2 v[i] + (1 - b2) g g
//   w[i] = keep w[i] - rate (m[i] / (sqrt(v[i]) / root2 + eps))
// `grad` must not overlap the others.
void adamw_update(const AdamWStep& step, float* w, const float* grad, float* m, float* v,
                  int64_t begin, int64_t end);

// The norm: partial sums of squares in double over chunks of kNormChunk elements of one buffer,
// added in order by global_norm.
inline constexpr int64_t kNormChunk = 4096;
inline int64_t norm_chunks(int64_t size) { return (size + kNormChunk - 1) / kNormChunk; }

// partials[c] = the sum of squares of chunk c of `grad`, for c in [begin, end). REQUIRES: end <=
// norm_chunks(grad.size()), partials.size() >= end.
void sum_squares(std::span<const float> grad, int64_t begin, int64_t end,
                 std::span<double> partials);

// sqrt of the sum of the partials in order: those of all tensors, tensor after tensor. Not finite
// if a gradient is not: the caller must look before it updates.
double global_norm(std::span<const double> partials);

// What gradients are multiplied by: min(1, max_norm / (norm + 1e-6)), as PyTorch's clip_grad_norm_;
// 1 if max_norm is 0.
double clip_scale(double norm, double max_norm);

}  // namespace ponder
