// How K-quants lie in memory, seen as 8 runs of 32 weights: bit fields of a run stand in 32
// consecutive bytes, one weight a byte; the runs that share the bytes differ in the shift.
#include "quant/k_quants.h"

#include "quant/block.h"

namespace ponder {
namespace {

// The 6-bit scale and minimum of group j of 8 in Q4_K and Q5_K: whole in the low bits of bytes j and
// j + 4 for the first four groups; for the others, low halves in byte j + 4, upper bits on top of the
// first groups' bytes.
struct ScaleAndMinimum {
  int scale, minimum;
};
ScaleAndMinimum scale_and_minimum(const uint8_t* bytes, int j) {
  if (j < 4) return {bytes[j] & 63, bytes[j + 4] & 63};
  return {(bytes[j + 4] & 15) | (bytes[j - 4] >> 6 << 4),
          (bytes[j + 4] >> 4) | (bytes[j] >> 6 << 4)};
}

// Of a Q4_K or Q5_K block, which begin alike.
void unpack_scales(const uint8_t* block, float* scales, float* offsets) {
  const float d = load_half(block), dmin = load_half(block + 2);
  for (int j = 0; j < 8; ++j) {
    const ScaleAndMinimum group = scale_and_minimum(block + 4, j);
    scales[j] = d * static_cast<float>(group.scale);
    offsets[j] = -(dmin * static_cast<float>(group.minimum));
  }
}

}  // namespace

void Q2_K::unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets) {
  const float d = load_half(block + 80), dmin = load_half(block + 82);
  for (int j = 0; j < 16; ++j) {
    scales[j] = d * static_cast<float>(block[j] & 15);
    offsets[j] = -(dmin * static_cast<float>(block[j] >> 4));
  }
  for (int run = 0; run < 8; ++run) {
    const uint8_t* low = block + 16 + run / 4 * 32;
    const int shift = run % 4 * 2;
    for (int l = 0; l < 32; ++l) codes[32 * run + l] = static_cast<int8_t>((low[l] >> shift) & 3);
  }
}

void Q3_K::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const float d = load_half(block + 108);
  const uint8_t* packed = block + 96;
  for (int j = 0; j < 16; ++j) {
    const int low = (packed[j % 8] >> (j / 8 * 4)) & 15;
    const int high = (packed[8 + j % 4] >> (j / 4 * 2)) & 3;
    scales[j] = d * static_cast<float>((low | (high << 4)) - 32);
  }
  for (int run = 0; run < 8; ++run) {
    const uint8_t* low = block + 32 + run / 4 * 32;
    const int shift = run % 4 * 2;
    for (int l = 0; l < 32; ++l) {
      const int high = (block[l] >> run) & 1;
      codes[32 * run + l] = static_cast<int8_t>((((low[l] >> shift) & 3) | (high << 2)) - 4);
    }
  }
}

void Q4_K::unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets) {
  unpack_scales(block, scales, offsets);
  for (int run = 0; run < 8; ++run) {
    const uint8_t* low = block + 16 + run / 2 * 32;
    const int shift = run % 2 * 4;
    for (int l = 0; l < 32; ++l) codes[32 * run + l] = static_cast<int8_t>((low[l] >> shift) & 15);
  }
}

void Q5_K::unpack(const uint8_t* block, int8_t* codes, float* scales, float* offsets) {
  unpack_scales(block, scales, offsets);
  const uint8_t* upper = block + 16;
  for (int run = 0; run < 8; ++run) {
    const uint8_t* low = block + 48 + run / 2 * 32;
    const int shift = run % 2 * 4;
    for (int l = 0; l < 32; ++l) {
      const int high = (upper[l] >> run) & 1;
      codes[32 * run + l] = static_cast<int8_t>(((low[l] >> shift) & 15) | (high << 4));
    }
  }
}

void Q6_K::unpack(const uint8_t* block, int8_t* codes, float* scales, float*) {
  const float d = load_half(block + 208);
  for (int j = 0; j < 16; ++j) {
    scales[j] = d * static_cast<float>(static_cast<int8_t>(block[192 + j]));
  }
  for (int run = 0; run < 8; ++run) {
    const uint8_t* low = block + run / 4 * 64 + run % 2 * 32;
    const uint8_t* upper = block + 128 + run / 4 * 32;
    const int low_shift = run % 4 / 2 * 4, upper_shift = run % 4 * 2;
    for (int l = 0; l < 32; ++l) {
      const int high = (upper[l] >> upper_shift) & 3;
      codes[32 * run + l] = static_cast<int8_t>((((low[l] >> low_shift) & 15) | (high << 4)) - 32);
    }
  }
}

}  // namespace ponder
