#include "quant/ternary_quants.h"

#include <algorithm>
#include <cmath>

#include "quant/block.h"
#include "quant/reduce.h"

namespace ponder {
namespace {

constexpr uint8_t kPowersOf3[] = {1, 3, 9, 27, 81};

// How TQ1_0 lays values in bytes: `bytes` bytes hold `digits` times as many values.
struct Run {
  int64_t bytes, digits;
};
constexpr Run kTq1Runs[] = {{32, 5}, {16, 5}, {4, 4}};
constexpr int64_t kTq1Bytes = 52, kTq2Bytes = 64;

// 0, 1, 2 (or 3, if `highest` is 2) for x * inverse rounded to -1, 0, 1 (or 2), halves away from
// zero. What has no place there, not a number or too large, is held to the ends.
unsigned code_of(float x, float inverse, float highest) {
  const float scaled = x * inverse;
  if (std::isnan(scaled)) return 1;
  return static_cast<unsigned>(std::clamp(std::round(scaled), -1.0f, highest) + 1.0f);
}

float inverse_of(float d) { return d > 0.0f ? 1.0f / d : 0.0f; }

}  // namespace

void Tq1_0::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  std::fill_n(scales, kValues / kStep, load_half(block + kTq1Bytes));
  for (const Run& run : kTq1Runs) {
    for (int64_t digit = 0; digit < run.digits; ++digit) {
      for (int64_t j = 0; j < run.bytes; ++j) {
        const auto fraction = static_cast<uint8_t>(block[j] * kPowersOf3[digit]);
        *codes++ = static_cast<int8_t>(((fraction * 3) >> 8) - 1);
      }
    }
    block += run.bytes;
  }
}

void Tq1_0::encode(const float* src, const float*, void* dst, int64_t n) {
  auto* block = static_cast<uint8_t*>(dst);
  for (const float* end = src + n; src < end;) {
    const float d = largest_magnitude(src, kValues), inverse = inverse_of(d);
    for (const Run& run : kTq1Runs) {
      for (int64_t j = 0; j < run.bytes; ++j) {
        unsigned number = 0;
        for (int64_t digit = 0; digit < 5; ++digit) {  // a fifth digit that is not used is 0
          number *= 3;
          if (digit < run.digits) number += code_of(src[j + digit * run.bytes], inverse, 1.0f);
        }
        block[j] = static_cast<uint8_t>((number * 256 + 242) / 243);  // upwards
      }
      block += run.bytes;
      src += run.bytes * run.digits;
    }
    store_half(block, d);
    block += kBytes - kTq1Bytes;
  }
}

void Tq2_0::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  std::fill_n(scales, kValues / kStep, load_half(block + kTq2Bytes));
  for (int64_t i = 0; i < kValues; ++i) {
    const int64_t half = i / 128, place = (i / 32) % 4;
    codes[i] = static_cast<int8_t>(((block[32 * half + i % 32] >> (2 * place)) & 3) - 1);
  }
}

void Tq2_0::encode(const float* src, const float*, void* dst, int64_t n) {
  auto* block = static_cast<uint8_t*>(dst);
  for (const float* end = src + n; src < end; src += kValues, block += kBytes) {
    const float d = largest_magnitude(src, kValues), inverse = inverse_of(d);
    for (int64_t j = 0; j < kTq2Bytes; ++j) {
      const float* first = src + 128 * (j / 32) + j % 32;
      unsigned byte = 0;
      for (int64_t k = 0; k < 4; ++k) byte |= code_of(first[32 * k], inverse, 1.0f) << (2 * k);
      block[j] = static_cast<uint8_t>(byte);
    }
    store_half(block + kTq2Bytes, d);
  }
}

void Q1_0::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  std::fill_n(scales, kValues / kStep, load_half(block));
  for (int64_t i = 0; i < kValues; ++i) {
    codes[i] = static_cast<int8_t>(2 * ((block[2 + i / 8] >> (i % 8)) & 1) - 1);
  }
}

void Q1_0::encode(const float* src, const float*, void* dst, int64_t n) {
  auto* block = static_cast<uint8_t*>(dst);
  for (const float* end = src + n; src < end; src += kValues, block += kBytes) {
    float sum = 0.0f;
    for (int64_t i = 0; i < kValues; ++i) sum += std::fabs(src[i]);
    store_half(block, sum / static_cast<float>(kValues));  // the mean is the least-squares scale
    for (int64_t j = 0; j < kValues / 8; ++j) {
      unsigned byte = 0;
      for (int64_t k = 0; k < 8; ++k) byte |= (src[8 * j + k] >= 0.0f ? 1u : 0u) << k;
      block[2 + j] = static_cast<uint8_t>(byte);
    }
  }
}

void Q2_0::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  std::fill_n(scales, kValues / kStep, load_half(block));
  for (int64_t i = 0; i < kValues; ++i) {
    codes[i] = static_cast<int8_t>(((block[2 + i / 4] >> (2 * (i % 4))) & 3) - 1);
  }
}

void Q2_0::encode(const float* src, const float*, void* dst, int64_t n) {
  auto* block = static_cast<uint8_t*>(dst);
  for (const float* end = src + n; src < end; src += kValues, block += kBytes) {
    const float d = largest_magnitude(src, kValues), inverse = inverse_of(d);
    store_half(block, d);
    for (int64_t j = 0; j < kValues / 4; ++j) {
      unsigned byte = 0;
      for (int64_t k = 0; k < 4; ++k) byte |= code_of(src[4 * j + k], inverse, 2.0f) << (2 * k);
      block[2 + j] = static_cast<uint8_t>(byte);
    }
  }
}

}  // namespace ponder
