// Tensors are views: a pointer, an element type and a shape. They own nothing; activations live in
// an Arena, weights in the model's buffer. The last dimension is contiguous and rows follow one
// another without gaps.
#pragma once

#include <cstdint>
#include <span>

#include "core/dtype.h"

namespace ponder {

// A matrix of float32 activations, (rows, cols). `slot` names its gradient on the tape that
// recorded it; 0: none wanted.
struct Tensor {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int32_t slot = 0;

  int64_t size() const { return rows * cols; }
  float* row(int64_t r) const { return data + r * cols; }
  std::span<float> span() const { return {data, static_cast<size_t>(size())}; }
};

// How the elements of a weight lie in memory.
enum class Layout : uint8_t {
  kPlain,   // row-major, as in files: norm weights, biases
  kPanels,  // (rows, cols) as ceil(rows / 16) panels of [cols][16]: what the matrix kernels read
            // (ops/cpu/gemm-inl.h)
  kRows,    // (rows, cols) row after row in the blocks of a file, which may be mapped and unaligned
};

// The groups of inputs whose codes share a scale and a zero point (quant/gptq.h).
struct InputGroups {
  int64_t size = 0;  // inputs in a group; the last may have fewer
  int64_t count = 0;
  const int32_t* of_input = nullptr;  // (cols); null: input / size
  bool half_scales = true;            // float16, else float32
};

// A parameter (rows = outputs, cols = inputs; a vector has rows 1). Views into the model's buffers.
// `grad` has the layout of `data` and is null while nothing trains this weight; gradients are
// always float32. `groups` belongs to the types of GPTQ.
struct Weight {
  void* data = nullptr;
  float* grad = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  DType dtype = DType::kF32;
  Layout layout = Layout::kPlain;
  const InputGroups* groups = nullptr;

  explicit operator bool() const { return data != nullptr; }
  float* f32() const { return static_cast<float*>(data); }
};

constexpr int64_t kPanelRows =
    16;  // outputs in a panel; also the logical vector width of every kernel

inline int64_t panel_count(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }

}  // namespace ponder
