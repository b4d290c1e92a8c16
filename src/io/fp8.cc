#include "io/fp8.h"

#include <fmt/format.h>

#include <cmath>

#include "io/json.h"
#include "quant/f8.h"

namespace ponder {
namespace {

int64_t blocks_of(int64_t n) { return n / kFp8Block + (n % kFp8Block != 0 ? 1 : 0); }

}  // namespace

void Fp8Matrix::dequantize(int64_t begin, int64_t end, float* out) const {
  for (int64_t r = begin; r < end; ++r) {
    const float* scale = scales.data() + r / kFp8Block * blocks_of(cols);
    const uint8_t* row = codes + r * cols;
    for (int64_t c = 0; c < cols; ++c) *out++ = f8_e4m3_to_f32(row[c]) * scale[c / kFp8Block];
  }
}

bool has_fp8(const TensorTable& tensors, const std::string& name) {
  return tensors.find(name + "_scale_inv") != nullptr;
}

Result<Fp8Matrix> read_fp8(const TensorTable& tensors, const std::string& name) {
  ASSIGN_OR_RETURN(const StoredTensor* weight, tensors.get(name));
  ASSIGN_OR_RETURN(const StoredTensor* scales, tensors.get(name + "_scale_inv"));
  if (*weight->dtype != DType::kF8_E4M3 || weight->shape.size() != 2) {
    return invalid(fmt::format("tensor {}: {} {}, expected f8_e4m3 in two dimensions",
                               in_quotes(name), weight->type_name, weight->shape_text()));
  }
  Fp8Matrix out;
  out.rows = weight->shape[0];
  out.cols = weight->shape[1];
  out.codes = reinterpret_cast<const uint8_t*>(weight->bytes.data());
  const std::vector<int64_t> expected = {blocks_of(out.rows), blocks_of(out.cols)};
  if (scales->shape != expected) {
    return invalid(fmt::format("tensor {}: shape {}, expected ({}, {}) for blocks of 128 x 128",
                               in_quotes(scales->name), scales->shape_text(), expected[0],
                               expected[1]));
  }
  out.scales.resize(static_cast<size_t>(scales->elements()));
  RETURN_IF_ERROR(decode_tensor(*scales, out.scales));
  for (const float scale : out.scales) {
    if (!std::isfinite(scale)) {
      return invalid(fmt::format("tensor {}: holds {}", in_quotes(scales->name), scale));
    }
  }
  return out;
}

}  // namespace ponder
