#include "ops/kv_rows.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"
#include "ops/cpu/kernels.h"

namespace ponder {
namespace {

constexpr int64_t kBlock = 32;  // entries of q8_0 that share a scale

int64_t blocks_of(int64_t dim) { return (dim + kBlock - 1) / kBlock; }

// Entry d of x goes to out[d * step].
template <typename Convert>
void store_halves(const float* x, int64_t dim, uint16_t* out, int64_t step, Convert convert) {
  for (int64_t d = 0; d < dim; ++d) out[d * step] = convert(x[d]);
}

// As encode_q8_0 of quant/q8_0.h, but the scale stays float32. Codes at codes[d * step], scales at
// scales[block * scale_step].
void store_codes(const float* x, int64_t dim, int8_t* codes, int64_t step, float* scales,
                 int64_t scale_step) {
  for (int64_t d0 = 0; d0 < dim; d0 += kBlock) {
    const int64_t end = std::min(dim, d0 + kBlock);
    float largest = 0;
    for (int64_t d = d0; d < end; ++d) largest = std::fmax(largest, std::fabs(x[d]));
    const float scale = largest / 127.0f;
    const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
    for (int64_t d = d0; d < end; ++d) {
      const float code = std::round(x[d] * inverse);
      codes[d * step] = std::fabs(code) <= 127.0f ? static_cast<int8_t>(code) : int8_t{0};
    }
    scales[d0 / kBlock * scale_step] = scale;
  }
}

// One position: entries `step` apart from element `first` on, scales `scale_step` apart.
void store_row(DType type, const float* x, int64_t dim, float* page, int64_t page_keys,
               int64_t first, int64_t step, int64_t first_scale, int64_t scale_step) {
  auto* halves = reinterpret_cast<uint16_t*>(page);
  if (type == DType::kF16) return store_halves(x, dim, halves + first, step, f32_to_f16);
  if (type == DType::kBF16) return store_halves(x, dim, halves + first, step, f32_to_bf16);
  PONDER_CHECK(type == DType::kQ8_0);
  float* scales = page + page_keys * dim / 4;
  store_codes(x, dim, reinterpret_cast<int8_t*>(page) + first, step, scales + first_scale,
              scale_step);
}

}  // namespace

bool is_kv_type(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kQ8_0;
}

int64_t kv_floats(DType type, int64_t page_keys, int64_t dim) {
  PONDER_CHECK(is_kv_type(type) && page_keys % 16 == 0);
  if (type == DType::kF32) return page_keys * dim;
  if (type == DType::kQ8_0) return page_keys * dim / 4 + page_keys * blocks_of(dim);
  return page_keys * dim / 2;
}

void store_keys(DType type, const float* x, int64_t ld, int64_t rows, int64_t dim, int64_t at,
                float* keys, int64_t page_keys) {
  if (type == DType::kF32) return kernels().append_keys(x, ld, rows, dim, at, keys);
  const int64_t blocks = blocks_of(dim);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t panel = (at + r) / 16, lane = (at + r) % 16;
    store_row(type, x + r * ld, dim, keys, page_keys, panel * 16 * dim + lane, 16,
              panel * 16 * blocks + lane, 16);
  }
}

void store_values(DType type, const float* x, int64_t ld, int64_t rows, int64_t dim, int64_t at,
                  float* values, int64_t page_keys) {
  const int64_t blocks = blocks_of(dim);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t position = at + r;
    if (type == DType::kF32) {
      std::copy_n(x + r * ld, dim, values + position * dim);
    } else {
      store_row(type, x + r * ld, dim, values, page_keys, position * dim, 1, position * blocks, 1);
    }
  }
}

}  // namespace ponder
