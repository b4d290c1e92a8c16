#include <algorithm>
#include <vector>

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/matmul.h"
#include "ops/ops.h"

namespace ponder {
namespace {

constexpr int64_t kElements = 8192;  // a thread's least share of a copy

int64_t rows_grain(int64_t cols) { return std::max<int64_t>(1, kElements / cols); }

// `heads` runs of `width` floats, from_step and to_step apart, copied or added.
void move_heads(const float* from, int64_t from_step, float* to, int64_t to_step, int64_t heads,
                int64_t width, bool accumulate) {
  for (int64_t h = 0; h < heads; ++h) {
    if (accumulate) {
      kernels().add(to + h * to_step, from + h * from_step, to + h * to_step, width);
    } else {
      std::copy_n(from + h * from_step, width, to + h * to_step);
    }
  }
}

}  // namespace

Tensor slice_heads(Ctx& cx, const Tensor& x, int64_t heads, int64_t offset, int64_t width) {
  PONDER_CHECK(heads > 0 && x.cols % heads == 0 && 0 <= offset && 0 < width &&
               offset + width <= x.cols / heads);
  const int64_t whole = x.cols / heads;
  const Tensor out = cx.output(x.rows, heads * width);
  cx.pool.run(x.rows, rows_grain(out.cols), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      move_heads(x.row(r) + offset, whole, out.row(r), width, heads, width, false);
    }
  });
  if (cx.wants_grad(x)) {
    cx.tape->record(out, [=](Ctx& c) {
      const float* dy = c.tape->gradient(out);
      const Tape::Sink dx = c.tape->sink(x);
      c.pool.run(x.rows, rows_grain(x.cols), [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
          float* to = dx.data + r * x.cols;
          if (!dx.accumulate) std::fill_n(to, x.cols, 0.0f);
          move_heads(dy + r * out.cols, width, to + offset, whole, heads, width, dx.accumulate);
        }
      });
    });
  }
  return out;
}

Tensor concat_heads(Ctx& cx, const Tensor& a, const Tensor& b, int64_t heads, bool b_shared) {
  PONDER_CHECK(heads > 0 && a.cols % heads == 0 && a.rows == b.rows &&
               (b_shared || b.cols % heads == 0));
  const int64_t wa = a.cols / heads, wb = b_shared ? b.cols : b.cols / heads;
  const int64_t whole = wa + wb, b_step = b_shared ? 0 : wb;
  const Tensor out = cx.output(a.rows, heads * whole);
  cx.pool.run(a.rows, rows_grain(out.cols), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      move_heads(a.row(r), wa, out.row(r), whole, heads, wa, false);
      move_heads(b.row(r), b_step, out.row(r) + wa, whole, heads, wb, false);
    }
  });
  if (cx.tape != nullptr) {
    cx.tape->record(out, [=](Ctx& c) {
      const float* dy = c.tape->gradient(out);
      const auto spread = [&](const Tensor& t, const float* from, int64_t step, int64_t width) {
        if (!c.wants_grad(t)) return;
        const Tape::Sink d = c.tape->sink(t);
        c.pool.run(t.rows, rows_grain(out.cols), [&](int64_t begin, int64_t end, int) {
          for (int64_t r = begin; r < end; ++r) {
            float* to = d.data + r * t.cols;
            const float* row = from + r * out.cols;
            if (step != 0) {
              move_heads(row, whole, to, step, heads, width, d.accumulate);
            } else {  // one sum over the heads, in order
              move_heads(row, whole, to, 0, 1, width, d.accumulate);
              move_heads(row + whole, whole, to, 0, heads - 1, width, true);
            }
          }
        });
      };
      spread(a, dy, wa, wa);
      spread(b, dy + wa, b_step, wb);
    });
  }
  return out;
}

Tensor head_linear(Ctx& cx, const Tensor& x, std::span<const Weight> per_head) {
  PONDER_CHECK(cx.tape == nullptr, "head_linear() has no gradient");
  const auto heads = static_cast<int64_t>(per_head.size());
  PONDER_CHECK(heads > 0 && x.cols % heads == 0);
  const int64_t rows = x.rows, in = x.cols / heads, width = per_head[0].rows;
  const Tensor out = cx.output(rows, heads * width);
  // Products want the rows of a head together; one row is.
  const Arena::Scope scope(cx.scratch);
  const bool apart = rows > 1;
  const Tensor from = apart ? cx.scratch.tensor(heads * rows, in) : x;  // (heads, T, in)
  const Tensor to = apart ? cx.scratch.tensor(heads * rows, width) : out;
  const auto for_rows = [&](auto f) {
    if (!apart) return;
    cx.pool.run(heads * rows, rows_grain(in + width), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) f(i, i % rows * heads + i / rows);
    });
  };
  for_rows([&](int64_t i, int64_t j) { std::copy_n(x.data + j * in, in, from.row(i)); });
  std::vector<MatmulJob> jobs;
  for (int64_t h = 0; h < heads; ++h) {
    const Weight& w = per_head[static_cast<size_t>(h)];
    PONDER_CHECK(w.cols == in && w.rows == width);
    jobs.push_back({{from.data + h * rows * in, rows, in, 0}, w, to.data + h * rows * width});
    if (cx.observer != nullptr) cx.observer->see(w, jobs.back().x);
  }
  matmuls(cx, jobs);
  for_rows([&](int64_t i, int64_t j) { std::copy_n(to.row(i), width, out.data + j * width); });
  return out;
}

}  // namespace ponder
