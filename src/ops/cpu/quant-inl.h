// Products of quantized weights with int8 activations. Of each 16 or 32 inputs that share a weight's
// scale the integer dot is exact; then one fma of the dot with (weight's scale * activation's scale)
// and, if the format has offsets, one fma of the offset with (activation's scale * their sum), block
// after block. So an element's bits do not depend on the instruction set or on other rows. The lanes
// run across 16 outputs; codes of a block of 32 inputs go to registers once for all rows of a tile.

// One block of 32 inputs of a tile of activations (kernels.h).
struct QuantBlock {
  PONDER_INLINE QuantBlock(const uint8_t* block, int64_t rows)
      : codes(reinterpret_cast<const int8_t*>(block)),
        scales(reinterpret_cast<const float*>(block + 32 * rows)),
        minus_128(reinterpret_cast<const int32_t*>(scales + rows)),
        sums(reinterpret_cast<const float*>(minus_128 + 3 * rows)) {}
  const int8_t* codes;       // [rows][32]
  const float* scales;       // [rows]
  const int32_t* minus_128;  // [3][rows]: of all 32, of the first 16, of the last 16
  const float* sums;         // likewise
};

// Sixteen vectors: lane i of the result is `combine` over the lanes of v[i], in the order of the lanes.
template <typename Combine>
PONDER_INLINE F across(const float (&v)[16][16], Combine combine) {
  float columns[16][16];
  transpose16(v[0], 16, 16, 16, columns[0], 16);
  F out = load(columns[0]);
#pragma GCC unroll 16
  for (int i = 1; i < 16; ++i) out = combine(out, load(columns[i]));
  return out;
}

constexpr int64_t kFloatsAhead =
    256;  // in a row: too many rows at once for the processor to foresee

// Sixteen blocks of 32 inputs at a time, so that scales are found in all lanes at once. Blocks are taken
// row after row, then along k.
void quantize_rows(const float* x, int64_t ld, int64_t rows, int64_t k, int64_t first,
                   int64_t tile_rows, void* tile) {
  const F magic = set1(12582912.0f);  // rounds to nearest, ties to even
  const F low = set1(-127.0f), high = set1(127.0f);
  const int64_t count = rows * (k / 32);
  int64_t next_row = 0, next_block = 0;
  for (int64_t done = 0; done < count; done += 16) {
    const int n = tail(count - done);
    const float* from[16];
    uint8_t* block[16];
    int64_t row[16];
    alignas(64) float largest[16][16], scales[16], inverses[16], sums[3][16];
    for (int i = 0; i < n; ++i) {
      row[i] = first + next_row;
      block[i] = static_cast<uint8_t*>(tile) + next_block * tile_rows * kQuantBytes;
      from[i] = x + next_row * ld + 32 * next_block;
      if (++next_row == rows) {
        next_row = 0;
        ++next_block;
      }
      prefetch(from[i] + kFloatsAhead);
      prefetch(from[i] + kFloatsAhead + 16);
      const F a = load(from[i]), c = load(from[i] + 16);
      store(largest[i], max(max(a, zero() - a), max(c, zero() - c)));
    }
    for (int i = n; i < 16; ++i) store(largest[i], zero());
    const F scale = across(largest, [](F a, F b) { return max(a, b); }) / set1(127.0f);
    // A subnormal scale has no finite inverse: such a block is as good as zero.
    store(inverses, less_select(set1(0x1.fffffcp-127f), scale, set1(1.0f) / scale, zero()));
    store(scales, scale);

    alignas(64) float codes[2][16][16];
    for (int i = 0; i < n; ++i) {
      const F inverse = set1(inverses[i]);
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        // NaN becomes -127: no int8 stands for it.
        const F q = min(max(fma(load(from[i] + 16 * half), inverse, magic) - magic, low), high);
        store_i8(reinterpret_cast<int8_t*>(block[i]) + 32 * row[i] + 16 * half, q);
        store(codes[half][i], q);
      }
    }
    for (int half = 0; half < 2; ++half) {
      for (int i = n; i < 16; ++i) store(codes[half][i], zero());
      store(sums[1 + half], across(codes[half], [](F a, F b) { return a + b; }));  // exact
    }
    store(sums[0], load(sums[1]) + load(sums[2]));
    for (int i = 0; i < n; ++i) {
      auto* numbers = reinterpret_cast<float*>(block[i] + 32 * tile_rows) + row[i];
      *numbers = scales[i];
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) {
        reinterpret_cast<int32_t*>(numbers)[(1 + j) * tile_rows] =
            -128 * static_cast<int32_t>(sums[j][i]);
        numbers[(4 + j) * tile_rows] = scales[i] * sums[j][i];
      }
    }
  }
}

// Formats. A panel is a row of groups of kBytes for 16 rows and kValues inputs: the fields of the
// file's blocks, each as [units][16 rows] (ops/panels.cc). codes(): of block `b` of 32 inputs, step s
// of four inputs in codes[s]; scales(): as Format::unpack gives them, one for each kStep inputs.

// kSteps steps of bytes at p, shifted right by `shift`, and mask.
template <int kSteps>
PONDER_INLINE void masked_bytes(const uint8_t* p, int shift, int32_t mask, I* codes) {
#pragma GCC unroll 8
  for (int s = 0; s < kSteps; ++s)
    codes[s] = shift_right(load_bytes(p + 64 * s), shift) & iset1(mask);
}
// The low halves of the bytes at p are steps 0 to 3, the high ones steps 4 to 7.
PONDER_INLINE void nibble_halves(const uint8_t* p, I codes[8]) {
  masked_bytes<4>(p, 0, 0x0f0f0f0f, codes);
  masked_bytes<4>(p, 4, 0x0f0f0f0f, codes + 4);
}
PONDER_INLINE F half_at(const uint8_t* p) { return load_f16(reinterpret_cast<const uint16_t*>(p)); }

struct BlocksQ8_0 {
  static constexpr int64_t kValues = 32, kBytes = 16 * 34;
  static constexpr int kStep = 32, kBias = kSigned, kMost = 255;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t, I out[8]) {
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) out[s] = load_bytes(p + 16 * 2 + 64 * s);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t, F* scale, F*) { *scale = half_at(p); }
};

struct BlocksQ4_0 {
  static constexpr int64_t kValues = 32, kBytes = 16 * 18;
  static constexpr int kStep = 32, kBias = 8, kMost = 15;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t, I out[8]) {
    nibble_halves(p + 16 * 2, out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t, F* scale, F*) { *scale = half_at(p); }
};

struct BlocksQ4_1 {
  static constexpr int64_t kValues = 32, kBytes = 16 * 20;
  static constexpr int kStep = 32, kBias = 0, kMost = 15;
  static constexpr bool kOffset = true;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t, I out[8]) {
    nibble_halves(p + 16 * 4, out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t, F* scale, F* offset) {
    *scale = half_at(p);
    *offset = half_at(p + 32);
  }
};

// Bit i of each lane of `bits` is the fifth bit of input i.
PONDER_INLINE void add_fifth_bits(I bits, I codes[8]) {
#pragma GCC unroll 8
  for (int s = 0; s < 8; ++s) {
    const I four = shift_right(bits, 4 * s) & iset1(15);
    const I spread = four | shift_left(four, 7) | shift_left(four, 14) | shift_left(four, 21);
    codes[s] = codes[s] | shift_left(spread & iset1(0x01010101), 4);
  }
}

struct BlocksQ5_0 {
  static constexpr int64_t kValues = 32, kBytes = 16 * 22;
  static constexpr int kStep = 32, kBias = 16, kMost = 31;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t, I out[8]) {
    nibble_halves(p + 16 * 6, out);
    add_fifth_bits(load_bytes(p + 16 * 2), out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t, F* scale, F*) { *scale = half_at(p); }
};

struct BlocksQ5_1 {
  static constexpr int64_t kValues = 32, kBytes = 16 * 24;
  static constexpr int kStep = 32, kBias = 0, kMost = 31;
  static constexpr bool kOffset = true;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t, I out[8]) {
    nibble_halves(p + 16 * 8, out);
    add_fifth_bits(load_bytes(p + 16 * 4), out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t, F* scale, F* offset) {
    *scale = half_at(p);
    *offset = half_at(p + 32);
  }
};

// 256 codes of two bits: four to a byte, 32 inputs apart.
PONDER_INLINE void two_bits(const uint8_t* p, int64_t b, I out[8]) {
  masked_bytes<8>(p + b / 4 * 512, static_cast<int>(2 * (b % 4)), 0x03030303, out);
}

struct BlocksQ2_K {
  static constexpr int64_t kValues = 256, kBytes = 16 * 84;
  static constexpr int kStep = 16, kBias = 0, kMost = 3;
  static constexpr bool kOffset = true;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    two_bits(p + 16 * 16, b, out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F* offset) {
    const F d = half_at(p + 16 * 80), d_min = half_at(p + 16 * 82);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const I both = widen_u8(p + 16 * (2 * b + i));
      scale[i] = d * to_float(both & iset1(15));
      offset[i] = zero() - d_min * to_float(shift_right(both, 4));
    }
  }
};

struct BlocksQ3_K {
  static constexpr int64_t kValues = 256, kBytes = 16 * 110;
  static constexpr int kStep = 16, kBias = 4, kMost = 7;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    two_bits(p + 16 * 32, b, out);
    I high[8];
    masked_bytes<8>(p, static_cast<int>(b), 0x01010101, high);
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) out[s] = out[s] | shift_left(high[s], 2);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    const F d = half_at(p + 16 * 108);
    const uint8_t* s = p + 16 * 96;
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {  // scale j: four bits in bytes 0 to 7, two in bytes 8 to 11
      const int j = static_cast<int>(2 * b + i);
      const I low = shift_right(widen_u8(s + 16 * (j % 8)), j / 8 * 4) & iset1(15);
      const I high = shift_right(widen_u8(s + 16 * (8 + j % 4)), j / 4 * 2) & iset1(3);
      scale[i] = d * to_float((low | shift_left(high, 4)) - iset1(32));
    }
  }
};

// Scale and minimum b of eight, six bits each in twelve bytes.
PONDER_INLINE void six_bit_pair(const uint8_t* s, int64_t b, I* scale, I* minimum) {
  if (b < 4) {
    *scale = widen_u8(s + 16 * b) & iset1(63);
    *minimum = widen_u8(s + 16 * (b + 4)) & iset1(63);
  } else {
    const I low = widen_u8(s + 16 * (b + 4));
    *scale = (low & iset1(15)) | shift_left(shift_right(widen_u8(s + 16 * (b - 4)), 6), 4);
    *minimum = shift_right(low, 4) | shift_left(shift_right(widen_u8(s + 16 * b), 6), 4);
  }
}
PONDER_INLINE void k_scales(const uint8_t* p, int64_t b, F* scale, F* offset) {
  I factor, minimum;
  six_bit_pair(p + 16 * 4, b, &factor, &minimum);
  *scale = half_at(p) * to_float(factor);
  *offset = zero() - half_at(p + 32) * to_float(minimum);
}
// Four bits of 64 inputs in 32 bytes: the first 32 in the low halves.
PONDER_INLINE void k_nibbles(const uint8_t* p, int64_t b, I out[8]) {
  masked_bytes<8>(p + b / 2 * 512, static_cast<int>(b % 2 * 4), 0x0f0f0f0f, out);
}

struct BlocksQ4_K {
  static constexpr int64_t kValues = 256, kBytes = 16 * 144;
  static constexpr int kStep = 32, kBias = 0, kMost = 15;
  static constexpr bool kOffset = true;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    k_nibbles(p + 16 * 16, b, out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F* offset) {
    k_scales(p, b, scale, offset);
  }
};

struct BlocksQ5_K {
  static constexpr int64_t kValues = 256, kBytes = 16 * 176;
  static constexpr int kStep = 32, kBias = 0, kMost = 31;
  static constexpr bool kOffset = true;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    k_nibbles(p + 16 * 48, b, out);
    I high[8];
    masked_bytes<8>(p + 16 * 16, static_cast<int>(b), 0x01010101, high);
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) out[s] = out[s] | shift_left(high[s], 4);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F* offset) {
    k_scales(p, b, scale, offset);
  }
};

struct BlocksQ6_K {
  static constexpr int64_t kValues = 256, kBytes = 16 * 210;
  static constexpr int kStep = 16, kBias = 32, kMost = 63;
  static constexpr bool kOffset = false;
  // Each half of 128 inputs: four bits in 64 bytes, the first 64 inputs in the low halves; two bits
  // in 32 bytes, 32 inputs apart.
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    masked_bytes<8>(p + b / 4 * 1024 + b % 2 * 512, static_cast<int>(b % 4 / 2 * 4), 0x0f0f0f0f,
                    out);
    I high[8];
    two_bits(p + 16 * 128, b, high);
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) out[s] = out[s] | shift_left(high[s], 4);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    const F d = half_at(p + 16 * 208);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      scale[i] = d * to_float(widen_i8(p + 16 * 192 + 16 * (2 * b + i)));
    }
  }
};

// Values of the four-bit codes of IQ4_NL and IQ4_XS, and twice those of MXFP4 (quant/).
alignas(16) constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
alignas(16) constexpr int8_t kFp4Values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                               0, -1, -2, -3, -4, -6, -8, -12};
PONDER_INLINE void look_up_all(const int8_t* table, I codes[8]) {
#pragma GCC unroll 8
  for (int s = 0; s < 8; ++s) codes[s] = look_up(table, codes[s]);
}

struct BlocksIq4Nl {
  static constexpr int64_t kValues = 32, kBytes = 16 * 18;
  static constexpr int kStep = 32, kBias = kSigned, kMost = 255;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t, I out[8]) {
    nibble_halves(p + 16 * 2, out);
    look_up_all(kIq4Values, out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t, F* scale, F*) { *scale = half_at(p); }
};

struct BlocksIq4Xs {
  static constexpr int64_t kValues = 256, kBytes = 16 * 136;
  static constexpr int kStep = 32, kBias = kSigned, kMost = 255;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    nibble_halves(p + 16 * 8 + b * 256, out);
    look_up_all(kIq4Values, out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    const int at = static_cast<int>(b);
    const I low = shift_right(widen_u8(p + 16 * (4 + b / 2)), at % 2 * 4) & iset1(15);
    const I high = shift_right(widen_u16(p + 16 * 2), 2 * at) & iset1(3);
    *scale = half_at(p) * to_float((low | shift_left(high, 4)) - iset1(32));
  }
};

struct BlocksMxfp4 {
  static constexpr int64_t kValues = 32, kBytes = 16 * 17;
  static constexpr int kStep = 32, kBias = kSigned, kMost = 255;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t, I out[8]) {
    nibble_halves(p + 16, out);
    look_up_all(kFp4Values, out);
  }
  // 2^(e - 128), which may be subnormal: the product of two that are not.
  static PONDER_INLINE void scales(const uint8_t* p, int64_t, F* scale, F*) {
    const I e = widen_u8(p), half = shift_right(e, 1);
    *scale = as_floats(shift_left(half + iset1(63), 23)) *
             as_floats(shift_left(e - half + iset1(63), 23));
  }
};

struct BlocksTq2_0 {
  static constexpr int64_t kValues = 256, kBytes = 16 * 66;
  static constexpr int kStep = 32, kBias = 1, kMost = 3;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) { two_bits(p, b, out); }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t, F* scale, F*) {
    *scale = half_at(p + 16 * 64);
  }
};

// What Format::unpack gives for 16 rows: per block of 32 inputs the codes [8][16][4], then scales
// [32 / step][16] and offsets likewise.
template <int kStepIn, bool kOffsetIn>
struct BlocksUnpacked {
  static constexpr int kStep = kStepIn, kBias = kSigned, kMost = 255, kParts = 32 / kStep;
  static constexpr bool kOffset = kOffsetIn;
  static constexpr int64_t kValues = 32, kBytes = 512 + 64 * kParts * (kOffset ? 2 : 1);
  static PONDER_INLINE void codes(const uint8_t* p, int64_t, I out[8]) {
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) out[s] = load_bytes(p + 64 * s);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t, F* scale, F* offset) {
#pragma GCC unroll 2
    for (int i = 0; i < kParts; ++i) {
      scale[i] = load(reinterpret_cast<const float*>(p + 512) + 16 * i);
      if (kOffset) offset[i] = load(reinterpret_cast<const float*>(p + 512) + 16 * (kParts + i));
    }
  }
};

void interleave(const int8_t* codes, const float* scales, const float* offsets, int64_t k,
                int64_t parts, void* panel) {
  uint8_t* to = static_cast<uint8_t*>(panel);
  const int64_t blocks = k / 32, per_row = blocks * parts;
  const float* const numbers[2] = {scales, offsets};
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t lane = 0; lane < 16; ++lane) {
      for (int64_t s = 0; s < 8; ++s) {
        __builtin_memcpy(to + 64 * s + 4 * lane, codes + lane * k + 32 * b + 4 * s, 4);
      }
    }
    to += 512;
    for (const float* from : numbers) {
      if (from == nullptr) continue;
      for (int64_t i = 0; i < parts; ++i, to += 64) {
        for (int64_t lane = 0; lane < 16; ++lane) {
          __builtin_memcpy(to + 4 * lane, from + lane * per_row + b * parts + i, 4);
        }
      }
    }
  }
}

// One block of 32 inputs and P panels of weights, ready for any number of rows.
template <class B, int P>
struct QuantWeights {
  static constexpr int kParts = 32 / B::kStep;
  I codes[P][8];
  F scale[P][kParts], offset[P][kParts];

  PONDER_INLINE QuantWeights(const uint8_t* group, int64_t panel_stride, int64_t block) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      const uint8_t* from = group + p * panel_stride;
      B::codes(from, block, codes[p]);
#pragma GCC unroll 8
      for (int s = 0; s < 8; ++s) codes[p][s] = ready<B::kBias>(codes[p][s]);
      B::scales(from, block, scale[p], offset[p]);
    }
  }

  // Goes on with the sums [P][16] of R rows from row r.
  template <int R>
  PONDER_INLINE void multiply(const QuantBlock& x, int64_t r, int64_t rows, float* sums) const {
    F acc[R][P];
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) acc[i][p] = load(sums + (i * P + p) * 16);
    }
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) {
      const int64_t at = (kParts == 1 ? 0 : 1 + part) * rows + r;
      I dots[R][P];
      dot_tile<R, P, B::kBias, B::kMost, 8 / kParts>(
          dots, shifted(part), x.codes + 32 * r + 16 * part, 32, x.minus_128 + at);
#pragma GCC unroll 4
      for (int i = 0; i < R; ++i) {
        const F x_scale = set1(x.scales[r + i]);
#pragma GCC unroll 2
        for (int p = 0; p < P; ++p) {
          acc[i][p] = fma(to_float(dots[i][p]), scale[p][part] * x_scale, acc[i][p]);
          if (B::kOffset) acc[i][p] = fma(offset[p][part], set1(x.sums[at + i]), acc[i][p]);
        }
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) store(sums + (i * P + p) * 16, acc[i][p]);
    }
  }

 private:
  // codes[p] from the steps of `part` on.
  PONDER_INLINE const I (*shifted(int part) const)[8] {
    return reinterpret_cast<const I(*)[8]>(&codes[0][part * 8 / kParts]);
  }
};

// Asks for the weights kAhead bytes on in each panel, of which `total` bytes are wanted and `left` are
// to come; where that is past them, for the first bytes of the panels that come next.
constexpr int64_t kAhead = 4096;
template <class B, int P>
PONDER_INLINE void prefetch_weights(const uint8_t* panel, int64_t panel_stride, int64_t total,
                                    int64_t left, int64_t block) {
  constexpr int64_t kPerBlock = B::kBytes * 32 / B::kValues;
  const int64_t at = block * kPerBlock + kAhead;
  const uint8_t* from = panel + at + (at < left ? 0 : P * panel_stride - total);
#pragma GCC unroll 2
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 16
    for (int64_t i = 0; i < kPerBlock; i += 64) prefetch(from + p * panel_stride + i);
  }
}

template <class B, int P>
inline void quant_panels(const QuantProduct& m, const uint8_t* panel, float* y, const float* bias,
                         int n_last) {
  alignas(64) float sums[kQuantTileRows * P * 16];
  for (int64_t r = 0; r < m.rows; ++r) {
    for (int p = 0; p < P; ++p) {
      const int n = p == P - 1 ? n_last : 16;
      store(sums + (r * P + p) * 16, m.accumulate ? load_n(y + r * m.ldy + 16 * p, n) : zero());
    }
  }
  const uint8_t* x = static_cast<const uint8_t*>(m.tile);
  for (int64_t k = 0; k < m.k; k += B::kValues, panel += B::kBytes) {
    for (int64_t b = 0; b < B::kValues / 32; ++b, x += m.rows * kQuantBytes) {
      prefetch_weights<B, P>(panel, m.panel_stride, m.k / B::kValues * B::kBytes,
                             (m.k - k) / B::kValues * B::kBytes, b);
      const QuantWeights<B, P> weights(panel, m.panel_stride, b);
      const QuantBlock block(x, m.rows);
      int64_t r = 0;
      for (; r + kQuantRows <= m.rows; r += kQuantRows) {
        weights.template multiply<kQuantRows>(block, r, m.rows, sums + r * P * 16);
      }
      for (; r < m.rows; ++r) {
        weights.template multiply<1>(block, r, m.rows, sums + r * P * 16);
      }
    }
  }
  for (int64_t r = 0; r < m.rows; ++r) {
    for (int p = 0; p < P; ++p) {
      const int n = p == P - 1 ? n_last : 16;
      const F sum = load(sums + (r * P + p) * 16);
      float* to = y + r * m.ldy + 16 * p;
      store_n(to, bias == nullptr ? sum : sum + load_n(bias + 16 * p, n), n);
    }
  }
}

template <class B>
void quant_product(const QuantProduct& m) {
  const uint8_t* panels = static_cast<const uint8_t*>(m.panels);
  for (int64_t j = 0; j < m.n;) {
    const int64_t left = m.n - j;
    const uint8_t* panel = panels + j / 16 * m.panel_stride;
    const float* bias = m.bias == nullptr ? nullptr : m.bias + j;
    if (kQuantPanels >= 2 && left > 16) {
      quant_panels<B, kQuantPanels>(m, panel, m.y + j, bias, tail(left - 16));
      j += 32;
    } else {
      quant_panels<B, 1>(m, panel, m.y + j, bias, tail(left));
      j += 16;
    }
  }
}
