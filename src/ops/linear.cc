#include <algorithm>

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/matmul.h"
#include "ops/ops.h"
#include "ops/panels.h"

namespace ponder {
namespace {

constexpr int64_t kRowBlock = 48;     // rows of a work unit: whole tiles of every instruction set
constexpr int64_t kGroupPanels = 16;  // panels of a work unit, at most
constexpr int64_t kDepth =
    512;  // steps of k between stores of partial chains: a tile's operands stay in L1 and L2

// How the output of a product is cut into work units: row blocks times groups of panels.
struct Units {
  Units(int64_t rows, int64_t panels, int threads)
      : row_blocks((rows + kRowBlock - 1) / kRowBlock), group(kGroupPanels), groups(0) {
    // Few rows: smaller groups, so that every thread has work.
    while (group > 2 && row_blocks * ((panels + group - 1) / group) < 3 * threads) group /= 2;
    groups = (panels + group - 1) / group;
  }
  int64_t count() const { return row_blocks * groups; }
  int64_t row_blocks, group, groups;
};

float* pack_rows(Ctx& cx, const float* x, int64_t rows, int64_t k) {
  float* packed = cx.scratch.array<float>(rows * k);
  cx.pool.run((rows + kRowBlock - 1) / kRowBlock, 2, [&](int64_t begin, int64_t end, int) {
    const int64_t r0 = begin * kRowBlock, r1 = std::min(rows, end * kRowBlock);
    kernels().pack_rows(x + r0 * k, k, r1 - r0, k, packed + r0 * k);
  });
  return packed;
}

// y (rows, n) = or += packed * panels, panels f32 with `k` steps each; y's panel p at y + p *
// y_stride, rows ldy apart.
void product(Ctx& cx, const float* packed, int64_t rows, int64_t k, const float* panels, float* y,
             int64_t y_stride, int64_t ldy, int64_t n, bool accumulate) {
  const Units units(rows, panel_count(n), cx.pool.size());
  cx.pool.run(units.count(), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t r0 = u / units.groups * kRowBlock, p0 = u % units.groups * units.group;
      const int64_t count = std::min(kRowBlock, rows - r0);
      const int64_t width = std::min(units.group * kPanelRows, n - p0 * kPanelRows);
      for (int64_t k0 = 0; k0 < k; k0 += kDepth) {
        kernels().gemm(packed + r0 * k, k, count, k0, panels + (p0 * k + k0) * kPanelRows,
                       kPanelRows * k, std::min(kDepth, k - k0), y + r0 * ldy + p0 * y_stride,
                       y_stride, ldy, width, accumulate || k0 > 0);
      }
    }
  });
}

// Weights of 16 bits: each unit decodes its panels into scratch first, once per block of k.
void product_16bit(Ctx& cx, const float* packed, int64_t rows, const Weight& w, float* y) {
  const int64_t k = w.cols, n = w.rows;
  const auto decode = w.dtype == DType::kF16 ? kernels().decode_f16 : kernels().decode_bf16;
  const uint16_t* panels = static_cast<const uint16_t*>(w.data);
  constexpr int64_t kPair = 2;
  float* scratch = cx.scratch.array<float>(cx.pool.size() * kPair * kDepth * kPanelRows);
  const int64_t pairs = (panel_count(n) + kPair - 1) / kPair;
  cx.pool.run(pairs, 1, [&](int64_t begin, int64_t end, int thread) {
    float* decoded = scratch + thread * kPair * kDepth * kPanelRows;
    for (int64_t p = begin * kPair; p < std::min(end * kPair, panel_count(n)); p += kPair) {
      const int64_t width = std::min(kPair * kPanelRows, n - p * kPanelRows);
      for (int64_t k0 = 0; k0 < k; k0 += kDepth) {
        const int64_t depth = std::min(kDepth, k - k0);
        for (int64_t i = 0; i < panel_count(width); ++i) {
          decode(panels + ((p + i) * k + k0) * kPanelRows, decoded + i * depth * kPanelRows, depth);
        }
        kernels().gemm(packed, k, rows, k0, decoded, depth * kPanelRows, depth, y + p * kPanelRows,
                       kPanelRows, n, width, k0 > 0);
      }
    }
  });
}

void product_q8(Ctx& cx, const Tensor& x, const Weight& w, float* y) {
  const int64_t k = w.cols, blocks = k / 32;
  int8_t* q = cx.scratch.array<int8_t>(x.rows * k);
  float* scales = cx.scratch.array<float>(x.rows * blocks);
  cx.pool.run(x.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      kernels().quantize_q8(x.row(r), k, q + r * k, scales + r * blocks);
  });
  const int64_t bytes = panel_bytes(w.dtype, k);
  cx.pool.run(panel_count(w.rows), 2, [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p) {
      kernels().gemm_q8(q, scales, x.rows, k, static_cast<const std::byte*>(w.data) + p * bytes,
                        y + p * kPanelRows, w.rows, std::min(kPanelRows, w.rows - p * kPanelRows));
    }
  });
}

}  // namespace

void matmul(Ctx& cx, const Tensor& x, const Weight& w, float* y) {
  PONDER_CHECK(x.cols == w.cols && w.layout == Layout::kPanels);
  const Arena::Scope scope(cx.scratch);
  if (w.dtype == DType::kQ8_0) return product_q8(cx, x, w, y);
  const float* packed = pack_rows(cx, x.data, x.rows, x.cols);
  if (w.dtype == DType::kF32) {
    product(cx, packed, x.rows, w.cols, w.f32(), y, kPanelRows, w.rows, w.rows, false);
  } else {
    product_16bit(cx, packed, x.rows, w, y);
  }
}

void matmul_input_grad(Ctx& cx, const Tensor& dy, const Weight& w, float* dx, bool accumulate) {
  PONDER_CHECK(w.dtype == DType::kF32 && dy.cols == w.rows);
  const Arena::Scope scope(cx.scratch);
  float* transposed = cx.scratch.array<float>(panel_count(w.cols) * kPanelRows * w.rows);
  cx.pool.run(panel_count(w.cols), 2, [&](int64_t begin, int64_t end, int) {
    kernels().transpose_panels(w.f32(), w.rows, w.cols, transposed, begin, end);
  });
  const float* packed = pack_rows(cx, dy.data, dy.rows, dy.cols);
  product(cx, packed, dy.rows, w.rows, transposed, dx, kPanelRows, w.cols, w.cols, accumulate);
}

void matmul_weight_grad(Ctx& cx, const Tensor& x, const Tensor& dy, const Weight& w) {
  PONDER_CHECK(w.grad != nullptr && x.rows == dy.rows && x.cols == w.cols && dy.cols == w.rows);
  const Arena::Scope scope(cx.scratch);
  const int64_t tokens = x.rows, panels = panel_count(w.rows);
  float* columns = cx.scratch.array<float>(tokens * w.cols);
  float* d_panels = cx.scratch.array<float>(tokens * panels * kPanelRows);
  cx.pool.run((w.cols + kRowBlock - 1) / kRowBlock, 1, [&](int64_t begin, int64_t end, int) {
    const int64_t c0 = begin * kRowBlock, c1 = std::min(w.cols, end * kRowBlock);
    kernels().pack_cols(x.data + c0, x.cols, tokens, c1 - c0, columns + c0 * tokens);
  });
  cx.pool.run(panels, 2, [&](int64_t begin, int64_t end, int) {
    kernels().pack_panels(dy.data, dy.cols, tokens, dy.cols, d_panels, begin, end);
  });
  // The gradient of a panel is (inputs, 16): "rows" are inputs, steps are tokens. All 16 lanes are
  // written; those past the last output get zeros.
  product(cx, columns, w.cols, tokens, d_panels, w.grad, kPanelRows * w.cols, kPanelRows,
          panels * kPanelRows, true);
}

Tensor linear(Ctx& cx, const Tensor& x, const Weight& w, const Weight* bias) {
  Tensor y = cx.output(x.rows, w.rows);
  matmul(cx, x, w, y.data);
  if (bias != nullptr) {
    PONDER_CHECK(bias->cols == w.rows && bias->dtype == DType::kF32);
    cx.pool.run(y.rows, 64, [&](int64_t begin, int64_t end, int) {
      kernels().add_bias(y.row(begin), bias->f32(), end - begin, y.cols);
    });
  }
  if (cx.tape != nullptr) {
    const Weight b = bias != nullptr ? *bias : Weight{};
    cx.tape->record(y, [x, w, b, y](Ctx& c) {
      Tensor dy = y;
      dy.data = const_cast<float*>(c.tape->gradient(y));
      if (b.grad != nullptr) {
        c.pool.run(y.cols, 16, [&](int64_t begin, int64_t end, int) {
          kernels().bias_grad(dy.data, dy.rows, dy.cols, b.grad, begin, end);
        });
      }
      if (w.grad != nullptr) matmul_weight_grad(c, x, dy, w);
      if (c.wants_grad(x)) {
        const Tape::Sink dx = c.tape->sink(x);
        matmul_input_grad(c, dy, w, dx.data, dx.accumulate);
      }
    });
  }
  return y;
}

}  // namespace ponder
