// What the tests of the op front-ends share: a context with everything it needs, inputs whose
// gradients can be read, and parameters with gradient buffers.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "ops/ctx.h"
#include "ops/panels.h"
#include "ops/testing.h"

namespace ponder::testing {

class Bench {
 public:
  explicit Bench(int threads, bool with_tape = true)
      : pool(threads), ctx{pool, arena, scratch, with_tape ? &tape : nullptr} {}

  // An input. Its "backward step" keeps the gradient that reached it, for backward() to return.
  Tensor leaf(const std::vector<float>& values, int64_t rows, int64_t cols) {
    Tensor t = ctx.output(rows, cols);
    EXPECT_EQ(static_cast<int64_t>(values.size()), t.size());
    std::copy(values.begin(), values.end(), t.data);
    if (ctx.tape == nullptr) return t;
    const size_t index = grads_.size();
    grads_.emplace_back(values.size(), 0.0f);
    tape.record(t, [this, index, t](Ctx& c) {
      const float* grad = c.tape->gradient(t);
      grads_[index].assign(grad, grad + t.size());
    });
    return t;
  }

  // The gradients of the leaves, in the order of their creation; zeros where none came.
  std::vector<std::vector<float>> backward(const Tensor& out, const std::vector<float>& d_out) {
    EXPECT_EQ(static_cast<int64_t>(d_out.size()), out.size());
    const Tape::Sink sink = tape.sink(out);
    EXPECT_FALSE(sink.accumulate);
    std::copy(d_out.begin(), d_out.end(), sink.data);
    tape.backward(ctx);
    return std::move(grads_);
  }

  static std::vector<float> copy(const Tensor& t) { return {t.data, t.data + t.size()}; }

  ThreadPool pool;
  Arena arena, scratch;
  Tape tape;
  Ctx ctx;

 private:
  std::vector<std::vector<float>> grads_;
};

// A float32 weight and its gradient, made from rows.
struct Parameter {
  Parameter(const std::vector<float>& values, int64_t rows_in, int64_t cols_in, Layout layout_in)
      : rows(rows_in), cols(cols_in), layout(layout_in), data(values) {
    if (layout == Layout::kPanels) {
      data.assign(static_cast<size_t>(weight_bytes(DType::kF32, rows, cols)) / sizeof(float),
                  -1.0f);
      rows_to_panels(DType::kF32, values.data(), 0, rows, cols, data.data());
    }
    grad.assign(data.size(), 0.0f);
  }
  Weight weight() { return {data.data(), grad.data(), rows, cols, DType::kF32, layout}; }

  // Memory in this parameter's layout as plain rows.
  std::vector<float> rows_of(const std::vector<float>& memory) const {
    if (layout == Layout::kPlain) return memory;
    std::vector<float> copy = memory, out(static_cast<size_t>(rows * cols));
    panels_to_rows({copy.data(), nullptr, rows, cols, DType::kF32, layout}, 0, rows, out.data());
    return out;
  }

  int64_t rows, cols;
  Layout layout;
  std::vector<float> data, grad;
};

}  // namespace ponder::testing
