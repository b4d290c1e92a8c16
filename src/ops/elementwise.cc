#include <algorithm>

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/ops.h"
#include "ops/panels.h"

namespace ponder {
namespace {
constexpr int64_t kElements = 8192;  // a thread's least share of an element-wise op
int64_t rows_grain(int64_t cols) { return std::max<int64_t>(1, kElements / cols); }
}  // namespace

Tensor embedding(Ctx& cx, std::span<const int32_t> ids, const Weight& table) {
  const int64_t rows = static_cast<int64_t>(ids.size());
  Tensor out = cx.output(rows, table.cols);
  for (int32_t id : ids)
    PONDER_CHECK(0 <= id && id < table.rows, "token id outside the vocabulary");
  cx.pool.run(rows, rows_grain(table.cols), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) panel_row(table, ids[static_cast<size_t>(r)], out.row(r));
  });
  if (cx.tape != nullptr && table.grad != nullptr) {
    cx.tape->record(out, [ids, table, out](Ctx& c) {
      const float* dy = c.tape->gradient(out);
      // Threads split the columns, so that each element sums over tokens in order.
      c.pool.run(table.cols, 16, [&](int64_t begin, int64_t end, int) {
        for (size_t r = 0; r < ids.size(); ++r) {
          float* panel =
              table.grad + ids[r] / kPanelRows * kPanelRows * table.cols + ids[r] % kPanelRows;
          const float* row = dy + static_cast<int64_t>(r) * table.cols;
          for (int64_t j = begin; j < end; ++j) panel[j * kPanelRows] += row[j];
        }
      });
    });
  }
  return out;
}

Tensor rms_norm(Ctx& cx, const Tensor& x, const Weight& w, float eps) {
  PONDER_CHECK(x.cols % w.cols == 0 && w.dtype == DType::kF32);
  const int64_t groups = x.size() / w.cols;
  Tensor out = cx.output(x.rows, x.cols);
  float* inverse = cx.tape != nullptr ? cx.arena.array<float>(groups) : nullptr;
  cx.pool.run(groups, rows_grain(w.cols), [&](int64_t begin, int64_t end, int) {
    kernels().rms_norm(x.data + begin * w.cols, w.f32(), eps, out.data + begin * w.cols,
                       inverse == nullptr ? nullptr : inverse + begin, end - begin, w.cols);
  });
  if (cx.tape != nullptr) {
    cx.tape->record(out, [x, w, out, inverse, groups](Ctx& c) {
      const float* dy = c.tape->gradient(out);
      if (w.grad != nullptr) {
        c.pool.run(w.cols, 32, [&](int64_t begin, int64_t end, int) {
          kernels().rms_norm_weight_grad(x.data, inverse, dy, w.grad, groups, w.cols, begin, end);
        });
      }
      if (!c.wants_grad(x)) return;
      const Tape::Sink dx = c.tape->sink(x);
      c.pool.run(groups, rows_grain(w.cols), [&](int64_t begin, int64_t end, int) {
        const int64_t at = begin * w.cols;
        kernels().rms_norm_grad(x.data + at, w.f32(), inverse + begin, dy + at, dx.data + at,
                                dx.accumulate, end - begin, w.cols);
      });
    });
  }
  return out;
}

Tensor rope(Ctx& cx, const Tensor& x, std::span<const int32_t> positions, const float* table,
            int64_t dim, RopePairs pairs) {
  PONDER_CHECK(x.cols % dim == 0 && dim % 2 == 0 &&
               static_cast<int64_t>(positions.size()) == x.rows);
  const int64_t heads = x.cols / dim;
  const auto turn = [pairs, positions, table, heads, dim](Ctx& c, const float* from, float* to,
                                                          float sign, bool accumulate) {
    const auto kernel = pairs == RopePairs::kHalves ? kernels().rope : kernels().rope_neighbours;
    const int64_t rows = static_cast<int64_t>(positions.size()), cols = heads * dim;
    c.pool.run(rows, rows_grain(cols), [&](int64_t begin, int64_t end, int) {
      kernel(from + begin * cols, to + begin * cols, positions.data() + begin, table, sign,
             end - begin, heads, dim, accumulate);
    });
  };
  Tensor out = cx.output(x.rows, x.cols);
  turn(cx, x.data, out.data, 1.0f, false);
  if (cx.wants_grad(x)) {
    cx.tape->record(out, [x, out, turn](Ctx& c) {
      const Tape::Sink dx = c.tape->sink(x);
      turn(c, c.tape->gradient(out), dx.data, -1.0f, dx.accumulate);
    });
  }
  return out;
}

Tensor swiglu(Ctx& cx, const Tensor& gate, const Tensor& up) {
  PONDER_CHECK(gate.rows == up.rows && gate.cols == up.cols);
  Tensor out = cx.output(gate.rows, gate.cols);
  cx.pool.run(out.size(), kElements, [&](int64_t begin, int64_t end, int) {
    kernels().swiglu(gate.data + begin, up.data + begin, out.data + begin, end - begin);
  });
  if (cx.tape != nullptr) {
    cx.tape->record(out, [gate, up, out](Ctx& c) {
      const float* dy = c.tape->gradient(out);
      // The kernel writes d_up first: if gate and up are one tensor, d_gate adds to it.
      const Tape::Sink du = c.tape->sink(up), dg = c.tape->sink(gate);
      c.pool.run(out.size(), kElements, [&](int64_t begin, int64_t end, int) {
        kernels().swiglu_grad(gate.data + begin, up.data + begin, dy + begin, dg.data + begin,
                              dg.accumulate, du.data + begin, du.accumulate, end - begin);
      });
    });
  }
  return out;
}

Tensor add(Ctx& cx, const Tensor& a, const Tensor& b) {
  PONDER_CHECK(a.rows == b.rows && a.cols == b.cols);
  Tensor out = cx.output(a.rows, a.cols);
  cx.pool.run(out.size(), kElements, [&](int64_t begin, int64_t end, int) {
    kernels().add(a.data + begin, b.data + begin, out.data + begin, end - begin);
  });
  if (cx.tape != nullptr) {
    cx.tape->record(out, [a, b, out](Ctx& c) {
      const float* dy = c.tape->gradient(out);
      if (c.wants_grad(b)) {
        const Tape::Sink db = c.tape->sink(b);
        c.pool.run(out.size(), kElements, [&](int64_t begin, int64_t end, int) {
          if (db.accumulate) {
            kernels().add(db.data + begin, dy + begin, db.data + begin, end - begin);
          } else {
            std::copy(dy + begin, dy + end, db.data + begin);
          }
        });
      }
      if (c.wants_grad(a)) c.tape->pass(c, out, a);
    });
  }
  return out;
}

Tensor select_rows(Ctx& cx, const Tensor& x, std::span<const int32_t> rows) {
  const int64_t count = static_cast<int64_t>(rows.size());
  Tensor out = cx.output(count, x.cols);
  for (int32_t r : rows) PONDER_CHECK(0 <= r && r < x.rows);
  cx.pool.run(count, rows_grain(x.cols), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = x.row(rows[static_cast<size_t>(i)]);
      std::copy(from, from + x.cols, out.row(i));
    }
  });
  if (cx.wants_grad(x)) {
    cx.tape->record(out, [x, out, rows](Ctx& c) {
      const float* dy = c.tape->gradient(out);
      const Tape::Sink dx = c.tape->sink(x);
      if (!dx.accumulate) std::fill(dx.data, dx.data + x.size(), 0.0f);
      for (size_t i = 0; i < rows.size(); ++i) {
        float* to = dx.data + rows[i] * x.cols;
        kernels().add(to, dy + static_cast<int64_t>(i) * x.cols, to, x.cols);
      }
    });
  }
  return out;
}

}  // namespace ponder
