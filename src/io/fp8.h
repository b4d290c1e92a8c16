// FP8 matrices of a Hugging Face folder, as DeepSeek publishes them: X.weight in e4m3 (outputs,
// inputs), and X.weight_scale_inv in float32, one for each block of 128 x 128; partial blocks at the
// edges have one too. Weight (o, i) is e4m3 * scale[o / 128, i / 128], rounded once to float32.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "io/tensor_file.h"

namespace ponder {

constexpr int64_t kFp8Block = 128;

struct Fp8Matrix {
  int64_t rows = 0, cols = 0;
  const uint8_t* codes = nullptr;  // (rows, cols) in the file's map
  std::vector<float> scales;       // (ceil(rows / 128), ceil(cols / 128)), finite

  // Rows [begin, end) as float32, row-major.
  void dequantize(int64_t begin, int64_t end, float* out) const;
};

// Whether the tensor `name` ("X.weight") has scales beside it.
bool has_fp8(const TensorTable& tensors, const std::string& name);

// Errors name the tensor: another element type, shapes that do not fit, scales that are no numbers.
Result<Fp8Matrix> read_fp8(const TensorTable& tensors, const std::string& name);

}  // namespace ponder
