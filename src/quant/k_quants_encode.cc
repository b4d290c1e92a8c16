// Encoders of the K-quants. Each group of 16 or 32 weights gets the scale (and minimum) that fits it
// best; the block's d (and dmin) are fitted to those; then integer scales and codes are rounded for
// the binary16 numbers that the decoder will see. Weights of the squared errors are ggml's.
#include <cmath>
#include <cstring>

#include "quant/block.h"
#include "quant/fit.h"
#include "quant/k_quants.h"

namespace ponder {
namespace {

constexpr int64_t kBlock = 256;

// Weights of the errors of one group: x, its importance or null, the block's mean square, the
// group's length, the result.
using Weigh = void(const float* x, const float* importance, float mean, int64_t n, float* out);

void weigh_q2(const float* x, const float* importance, float mean, int64_t n, float* out) {
  if (importance != nullptr) return importance_weights(x, importance, mean, n, out);
  for (int64_t i = 0; i < n; ++i) out[i] = std::fabs(x[i]);
}

void weigh_q3(const float* x, const float* importance, float mean, int64_t n, float* out) {
  if (importance != nullptr) return importance_weights(x, importance, 2.0f * mean, n, out);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * x[i];
}

void weigh_q4(const float* x, const float* importance, float mean, int64_t n, float* out) {
  if (importance != nullptr) return importance_weights(x, importance, 2.0f * mean, n, out);
  const float base = std::sqrt(mean_square(x, n));
  for (int64_t i = 0; i < n; ++i) out[i] = base + std::fabs(x[i]);
}

void weigh_q6(const float* x, const float* importance, float, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = importance != nullptr ? importance[i] : x[i] * x[i];
}

float sum_of(const float* values, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum += values[i];
  return sum;
}

// Q3_K and Q6_K: groups of 16 with a scale of either sign and no minimum.
struct SymmetricSpec {
  int64_t block_bytes;
  int64_t scale_at;  // where d stands
  float high;        // codes from -high - 1 to high
  float scale_high;  // integer scales likewise
  Weigh* weigh;
  // codes [256] and integer scales [16], both moved up to begin at 0, into the rest of the block.
  void (*pack)(const uint8_t* codes, const uint8_t* scales, uint8_t* block);
};

void encode_symmetric(const SymmetricSpec& spec, const float* src, const float* importance,
                      void* dst, int64_t n) {
  constexpr int64_t kGroup = 16, kGroups = kBlock / kGroup;
  const float low = -spec.high - 1.0f, scale_low = -spec.scale_high - 1.0f;
  auto* block = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kBlock, block += spec.block_bytes) {
    const float mean = mean_square(src + i, kBlock);
    float scales[kGroups], sums[kGroups];
    for (int64_t g = 0; g < kGroups; ++g) {
      const float* x = src + i + g * kGroup;
      float weights[kGroup];
      spec.weigh(x, importance != nullptr ? importance + i + g * kGroup : nullptr, mean, kGroup,
                 weights);
      scales[g] = fit_scale(x, weights, kGroup, low, spec.high);
      sums[g] = sum_of(weights, kGroup);
    }
    const float d = store_half(block + spec.scale_at,
                               fit_scale(scales, sums, kGroups, scale_low, spec.scale_high));
    uint8_t codes[kBlock], packed[kGroups];
    for (int64_t g = 0; g < kGroups; ++g) {
      const float scale = round_code(scales[g] * inverse_or_zero(d), scale_low, spec.scale_high);
      packed[g] = static_cast<uint8_t>(scale - scale_low);
      const float inverse = inverse_or_zero(d * scale);
      for (int64_t j = g * kGroup; j < (g + 1) * kGroup; ++j) {
        codes[j] = static_cast<uint8_t>(round_code(src[i + j] * inverse, low, spec.high) - low);
      }
    }
    spec.pack(codes, packed, block);
  }
}

// Q2_K, Q4_K and Q5_K: groups with a scale and a minimum, both not negative.
struct AffineSpec {
  int64_t block_bytes;
  int64_t group;
  int64_t scale_at;  // where d stands, and dmin after it
  float high;        // codes from 0 to high
  float scale_high;  // integer scales and minima likewise
  Weigh* weigh;
  // codes [256], scales and minima [256 / group], into the rest of the block.
  void (*pack)(const uint8_t* codes, const uint8_t* scales, const uint8_t* minima, uint8_t* block);
};

void encode_affine(const AffineSpec& spec, const float* src, const float* importance, void* dst,
                   int64_t n) {
  constexpr int64_t kMostGroups = 16;
  const int64_t groups = kBlock / spec.group;
  auto* block = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; i += kBlock, block += spec.block_bytes) {
    const float* x = src + i;
    const float mean = mean_square(x, kBlock);
    float weights[kBlock], sums[kMostGroups];
    float scales[kMostGroups], minima[kMostGroups];  // as fitted
    for (int64_t g = 0, at = 0; g < groups; ++g, at += spec.group) {
      spec.weigh(x + at, importance != nullptr ? importance + i + at : nullptr, mean, spec.group,
                 weights + at);
      const Affine fit = fit_affine(x + at, weights + at, spec.group, spec.high, 0.0f);
      scales[g] = fit.scale;
      minima[g] = -fit.offset;
      sums[g] = sum_of(weights + at, spec.group);
    }
    uint8_t codes[kBlock], packed_scales[kMostGroups], packed_minima[kMostGroups];
    const float d =
        store_half(block + spec.scale_at, fit_scale(scales, sums, groups, 0.0f, spec.scale_high));
    for (int64_t g = 0, at = 0; g < groups; ++g, at += spec.group) {
      const float scale = round_code(scales[g] * inverse_or_zero(d), 0.0f, spec.scale_high);
      packed_scales[g] = static_cast<uint8_t>(scale);
      scales[g] = d * scale;
      minima[g] = -fit_offset(x + at, weights + at, spec.group, spec.high, {scales[g], -minima[g]});
    }
    const float dmin = store_half(block + spec.scale_at + 2,
                                  fit_scale(minima, sums, groups, 0.0f, spec.scale_high));
    for (int64_t g = 0; g < groups; ++g) {
      const float minimum = round_code(minima[g] * inverse_or_zero(dmin), 0.0f, spec.scale_high);
      packed_minima[g] = static_cast<uint8_t>(minimum);
      const float inverse = inverse_or_zero(scales[g]), shift = dmin * minimum;
      for (int64_t j = g * spec.group; j < (g + 1) * spec.group; ++j) {
        codes[j] = static_cast<uint8_t>(round_code((x[j] + shift) * inverse, 0.0f, spec.high));
      }
    }
    spec.pack(codes, packed_scales, packed_minima, block);
  }
}

// The low `bits` (2 or 4) bits of each code, 8 / bits runs of 32 codes in 32 bytes.
void pack_low(const uint8_t* codes, int bits, uint8_t* out) {
  const int shared = 8 / bits;
  std::memset(out, 0, static_cast<size_t>(kBlock * bits / 8));
  for (int run = 0; run < 8; ++run) {
    uint8_t* to = out + run / shared * 32;
    for (int l = 0; l < 32; ++l) {
      const int code = codes[32 * run + l] & ((1 << bits) - 1);
      to[l] = static_cast<uint8_t>(to[l] | (code << (run % shared * bits)));
    }
  }
}

// Bit `bit` of each code: run r of 32 in bit r of 32 bytes.
void pack_bit(const uint8_t* codes, int bit, uint8_t* out) {
  std::memset(out, 0, 32);
  for (int run = 0; run < 8; ++run) {
    for (int l = 0; l < 32; ++l) {
      out[l] = static_cast<uint8_t>(out[l] | (((codes[32 * run + l] >> bit) & 1) << run));
    }
  }
}

// The inverse of scale_and_minimum() in k_quants.cc.
void pack_scales(const uint8_t* scales, const uint8_t* minima, uint8_t* out) {
  for (int j = 0; j < 4; ++j) {
    out[j] = static_cast<uint8_t>(scales[j] | (scales[j + 4] >> 4 << 6));
    out[j + 4] = static_cast<uint8_t>(minima[j] | (minima[j + 4] >> 4 << 6));
    out[j + 8] = static_cast<uint8_t>((scales[j + 4] & 15) | (minima[j + 4] << 4));
  }
}

void pack_q2(const uint8_t* codes, const uint8_t* scales, const uint8_t* minima, uint8_t* block) {
  for (int j = 0; j < 16; ++j) block[j] = static_cast<uint8_t>(scales[j] | (minima[j] << 4));
  pack_low(codes, 2, block + 16);
}

void pack_q3(const uint8_t* codes, const uint8_t* scales, uint8_t* block) {
  pack_bit(codes, 2, block);
  pack_low(codes, 2, block + 32);
  uint8_t* out = block + 96;
  std::memset(out, 0, 12);
  for (int j = 0; j < 16; ++j) {
    out[j % 8] = static_cast<uint8_t>(out[j % 8] | ((scales[j] & 15) << (j / 8 * 4)));
    out[8 + j % 4] = static_cast<uint8_t>(out[8 + j % 4] | (scales[j] >> 4 << (j / 4 * 2)));
  }
}

void pack_q4(const uint8_t* codes, const uint8_t* scales, const uint8_t* minima, uint8_t* block) {
  pack_scales(scales, minima, block + 4);
  pack_low(codes, 4, block + 16);
}

void pack_q5(const uint8_t* codes, const uint8_t* scales, const uint8_t* minima, uint8_t* block) {
  pack_scales(scales, minima, block + 4);
  pack_bit(codes, 4, block + 16);
  pack_low(codes, 4, block + 48);
}

void pack_q6(const uint8_t* codes, const uint8_t* scales, uint8_t* block) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* from = codes + 128 * half;
    for (int l = 0; l < 64; ++l) {  // runs 0 and 1; on top of them 2 and 3
      block[64 * half + l] = static_cast<uint8_t>((from[l] & 15) | (from[l + 64] << 4));
    }
  }
  uint8_t upper[kBlock];
  for (int j = 0; j < kBlock; ++j) upper[j] = codes[j] >> 4;
  pack_low(upper, 2, block + 128);
  for (int j = 0; j < 16; ++j) block[192 + j] = static_cast<uint8_t>(scales[j] - 128);
}

}  // namespace

void Q2_K::encode(const float* src, const float* importance, void* dst, int64_t n) {
  encode_affine({kBytes, kStep, 80, 3.0f, 15.0f, weigh_q2, pack_q2}, src, importance, dst, n);
}

void Q3_K::encode(const float* src, const float* importance, void* dst, int64_t n) {
  encode_symmetric({kBytes, 108, 3.0f, 31.0f, weigh_q3, pack_q3}, src, importance, dst, n);
}

void Q4_K::encode(const float* src, const float* importance, void* dst, int64_t n) {
  encode_affine({kBytes, kStep, 0, 15.0f, 63.0f, weigh_q4, pack_q4}, src, importance, dst, n);
}

void Q5_K::encode(const float* src, const float* importance, void* dst, int64_t n) {
  encode_affine({kBytes, kStep, 0, 31.0f, 63.0f, weigh_q4, pack_q5}, src, importance, dst, n);
}

void Q6_K::encode(const float* src, const float* importance, void* dst, int64_t n) {
  encode_symmetric({kBytes, 208, 31.0f, 127.0f, weigh_q6, pack_q6}, src, importance, dst, n);
}

}  // namespace ponder
