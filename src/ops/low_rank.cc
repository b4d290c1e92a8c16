#include "ops/low_rank.h"

#include <algorithm>

#include "core/status.h"
#include "ops/matmul.h"
#include "ops/panels.h"

namespace ponder {
namespace {

constexpr int64_t kElements = 16384;  // a thread's least share

void scale_by(Ctx& cx, float factor, const Tensor& t) {
  cx.pool.run(t.size(), kElements, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) t.data[i] *= factor;
  });
}

}  // namespace

void merge_low_rank(Ctx& cx, const LowRank& f, const float* base, const Weight& w) {
  const int64_t rank = f.a.rows;
  PONDER_CHECK(f.b.cols == rank && f.b.rows == w.rows && f.a.cols == w.cols &&
               w.layout == Layout::kPanels && w.dtype == DType::kF32);
  const Arena::Scope scope(cx.scratch);
  const Tensor a = cx.scratch.tensor(rank, w.cols);
  const Tensor b = cx.scratch.tensor(w.rows, rank), scaled = cx.scratch.tensor(rank, w.rows);
  panels_to_rows(f.a, 0, rank, a.data);
  panels_to_rows(f.b, 0, w.rows, b.data);
  for (int64_t r = 0; r < rank; ++r) {
    for (int64_t i = 0; i < w.rows; ++i) scaled.row(r)[i] = f.scale * b.row(i)[r];
  }
  const int64_t size = panel_count(w.rows) * kPanelRows * w.cols;
  cx.pool.run(size, kElements, [&](int64_t begin, int64_t end, int) {
    std::copy(base + begin, base + end, w.f32() + begin);
  });
  // A sum of outer products is what a weight gradient is: ranks stand for rows.
  Weight sum = w;
  sum.grad = w.f32();
  matmul_weight_grad(cx, a, scaled, sum);
}

void low_rank_grad(Ctx& cx, const Tensor& x, const Tensor& dy, const LowRank& f) {
  const Arena::Scope scope(cx.scratch);
  const int64_t rank = f.a.rows;
  const Tensor narrow = cx.scratch.tensor(x.rows, rank);    // scale x A^T
  const Tensor d_narrow = cx.scratch.tensor(x.rows, rank);  // scale dy B
  matmul(cx, x, f.a, narrow.data);
  matmul_input_grad(cx, dy, f.b, d_narrow.data, false);
  scale_by(cx, f.scale, narrow);
  scale_by(cx, f.scale, d_narrow);
  matmul_weight_grad(cx, narrow, dy, f.b);
  matmul_weight_grad(cx, x, d_narrow, f.a);
}

}  // namespace ponder
