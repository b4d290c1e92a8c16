// The matrix products under linear() and token_logprobs(), without the tape. Inside the ops module
// only.
#pragma once

#include <span>

#include "core/tensor.h"
#include "ops/ctx.h"

namespace ponder {

// y (x.rows, w.rows) = x w^T (+ bias, w.rows floats).
struct MatmulJob {
  Tensor x;
  Weight w;
  float* y;
  const float* bias = nullptr;
};

// All jobs at once: their work is shared out among the threads in one go, and jobs that follow one
// another with the same x prepare it once. What a job gives does not depend on the others.
void matmuls(Ctx& cx, std::span<const MatmulJob> jobs);

inline void matmul(Ctx& cx, const Tensor& x, const Weight& w, float* y) {
  const MatmulJob job{x, w, y};
  matmuls(cx, {&job, 1});
}
// dx (dy.rows, w.cols) = or += dy w. REQUIRES: w is f32 in panels.
void matmul_input_grad(Ctx& cx, const Tensor& dy, const Weight& w, float* dx, bool accumulate);
// w.grad += dy^T x, each element one chain over rows in order.
void matmul_weight_grad(Ctx& cx, const Tensor& x, const Tensor& dy, const Weight& w);

}  // namespace ponder
