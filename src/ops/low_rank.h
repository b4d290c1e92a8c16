// Matrices that train through two narrow factors (LoRA, Hu et al. 2021, arXiv 2106.09685):
// W = base + scale B A. W lies in memory as an ordinary matrix, so that whatever multiplies by it
// needs to know nothing of this; only where its gradient would go, that of the factors goes instead:
// with D = dy^T x, dB = scale D A^T and dA = scale B^T D, without making D.
#pragma once

#include <unordered_map>

#include "core/tensor.h"
#include "ops/ctx.h"

namespace ponder {

// Both f32 in panels, with gradients.
struct LowRank {
  Weight a;  // (rank, inputs)
  Weight b;  // (outputs, rank)
  float scale = 1.0f;
};

// By the data of W. What find() gives stays where it is as long as nothing is added.
struct LowRankTable {
  std::unordered_map<const void*, LowRank> factors;

  const LowRank* find(const Weight& w) const {
    const auto found = factors.find(w.data);
    return found == factors.end() ? nullptr : &found->second;
  }
};

// W = base + (scale B) A: each element one chain over the ranks, from `base` (in W's layout) on.
// REQUIRES: w is f32 in panels and of the shape that the factors make
void merge_low_rank(Ctx& cx, const LowRank& factors, const float* base, const Weight& w);

// Adds the gradients of the factors, given those of y = x W^T: each element one chain over rows in
// order, as the gradient of a matrix is.
void low_rank_grad(Ctx& cx, const Tensor& x, const Tensor& dy, const LowRank& factors);

}  // namespace ponder
