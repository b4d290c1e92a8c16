// Q8_0: 32 weights as int8 with one scale. 34 bytes: d (binary16), then q[32]; weight i is d *
// q[i]. Source: ggml's block_q8_0.
#pragma once

#include <cstdint>

namespace ponder {

constexpr int64_t kQ8_0Values = 32;
constexpr int64_t kQ8_0Bytes = 34;

void decode_q8_0(const void* src, float* dst, int64_t n);
void encode_q8_0(const float* src, const float* importance, void* dst, int64_t n);
void unpack_q8_0(const void* src, int8_t* codes, float* scales, float* offsets, int64_t n);

}  // namespace ponder
