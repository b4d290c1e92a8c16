#include "quant/q8_0.h"

#include <cmath>
#include <cstring>

#include "core/dtype.h"

namespace ponder {

void decode_q8_0(const void* src, float* dst, int64_t n) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kQ8_0Values, block += kQ8_0Bytes) {
    uint16_t scale;
    int8_t q[kQ8_0Values];
    std::memcpy(&scale, block, sizeof scale);
    std::memcpy(q, block + sizeof scale, sizeof q);
    const float d = f16_to_f32(scale);
    for (int64_t j = 0; j < kQ8_0Values; ++j) dst[i + j] = d * static_cast<float>(q[j]);
  }
}

void encode_q8_0(const float* src, const float*, void* dst, int64_t n) {
  auto* block = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kQ8_0Values, block += kQ8_0Bytes) {
    float largest = 0.0f;
    for (int64_t j = 0; j < kQ8_0Values; ++j) largest = std::fmax(largest, std::fabs(src[i + j]));
    const float d = largest / 127.0f;
    // Codes come from the float32 scale, not from its rounding to binary16: that is what ggml does.
    const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
    const uint16_t scale = f32_to_f16(d);
    int8_t q[kQ8_0Values];
    for (int64_t j = 0; j < kQ8_0Values; ++j) {
      const float code = std::round(src[i + j] * inverse);  // halves away from zero
      // NaN, infinity, or a scale so small that its inverse is infinite: no int8 stands for it.
      q[j] = std::fabs(code) <= 127.0f ? static_cast<int8_t>(code) : int8_t{0};
    }
    std::memcpy(block, &scale, sizeof scale);
    std::memcpy(block + sizeof scale, q, sizeof q);
  }
}

void unpack_q8_0(const void* src, int8_t* codes, float* scales, float*, int64_t n) {
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += kQ8_0Values, block += kQ8_0Bytes) {
    uint16_t scale;
    std::memcpy(&scale, block, sizeof scale);
    std::memcpy(codes + i, block + sizeof scale, kQ8_0Values);
    scales[i / kQ8_0Values] = f16_to_f32(scale);
  }
}

}  // namespace ponder
