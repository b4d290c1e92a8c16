#include <vector>

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/low_rank.h"
#include "ops/matmul.h"
#include "ops/ops.h"

namespace ponder {
namespace {

void record(Ctx& cx, const Tensor& x, const Projection& p, const Tensor& y) {
  const Weight w = p.weight, b = p.bias != nullptr ? *p.bias : Weight{};
  const LowRank* factors = cx.low_rank != nullptr ? cx.low_rank->find(w) : nullptr;
  cx.tape->record(y, [x, w, b, y, factors](Ctx& c) {
    Tensor dy = y;
    dy.data = const_cast<float*>(c.tape->gradient(y));
    if (b.grad != nullptr) {
      c.pool.run(y.cols, 16, [&](int64_t begin, int64_t end, int) {
        kernels().bias_grad(dy.data, dy.rows, dy.cols, b.grad, begin, end);
      });
    }
    if (w.grad != nullptr) matmul_weight_grad(c, x, dy, w);
    if (factors != nullptr) low_rank_grad(c, x, dy, *factors);
    if (c.wants_grad(x)) {
      const Tape::Sink dx = c.tape->sink(x);
      matmul_input_grad(c, dy, w, dx.data, dx.accumulate);
    }
  });
}

}  // namespace

void linears(Ctx& cx, const Tensor& x, std::span<const Projection> projections,
             std::span<Tensor> y) {
  PONDER_CHECK(projections.size() == y.size());
  std::vector<MatmulJob> jobs;
  for (size_t i = 0; i < y.size(); ++i) {
    const Projection& p = projections[i];
    PONDER_CHECK(p.bias == nullptr ||
                 (p.bias->cols == p.weight.rows && p.bias->dtype == DType::kF32));
    if (cx.observer != nullptr) cx.observer->see(p.weight, x);
    y[i] = cx.output(x.rows, p.weight.rows);
    jobs.push_back({x, p.weight, y[i].data, p.bias != nullptr ? p.bias->f32() : nullptr});
  }
  matmuls(cx, jobs);
  if (cx.tape == nullptr) return;
  for (size_t i = 0; i < y.size(); ++i) record(cx, x, projections[i], y[i]);
}

Tensor linear(Ctx& cx, const Tensor& x, const Weight& w, const Weight* bias) {
  const Projection projection{w, bias};
  Tensor y;
  linears(cx, x, {&projection, 1}, {&y, 1});
  return y;
}

}  // namespace ponder
