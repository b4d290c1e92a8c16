// The matrix products under linear() and token_logprobs(), without the tape. Inside the ops module
// only.
#pragma once

#include "core/tensor.h"
#include "ops/ctx.h"

namespace ponder {

// y (x.rows, w.rows) = x w^T.
void matmul(Ctx& cx, const Tensor& x, const Weight& w, float* y);
// dx (dy.rows, w.cols) = or += dy w. REQUIRES: w is f32.
void matmul_input_grad(Ctx& cx, const Tensor& dy, const Weight& w, float* dx, bool accumulate);
// w.grad += dy^T x, each element one chain over rows in order.
void matmul_weight_grad(Ctx& cx, const Tensor& x, const Tensor& dy, const Weight& w);

}  // namespace ponder
