// 8-bit floats of DeepSeek's checkpoints: e4m3fn, with a sign, 4 bits of exponent (bias 7) and 3 of
// mantissa; subnormals are multiples of 2^-9, the largest value is 448, there are no infinities,
// and NaN is 0x7f or 0xff. Source: OCP 8-bit Floating Point Specification (OFP8), revision 1.0.
#pragma once

#include <cstdint>

namespace ponder {

float f8_e4m3_to_f32(uint8_t bits);

// To nearest, ties to even; beyond +-448, infinities too, to +-448; NaN to NaN of its sign.
uint8_t f32_to_f8_e4m3(float value);

void decode_f8_e4m3(const void* src, float* dst, int64_t n);
void encode_f8_e4m3(const float* src, const float* importance, void* dst, int64_t n);

}  // namespace ponder
