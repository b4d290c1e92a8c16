// Blocks of IQ1, IQ2 and IQ3 (quant/iq_quants.h) in panels, for quant-inl.h. Lanes are rows: the number
// of a point is taken apart in all of them at once, and a look-up brings each its own point.

// Bit j of a lane of `signs`: input j of 32 is negative.
PONDER_INLINE void apply_signs(I signs, I codes[8]) {
#pragma GCC unroll 8
  for (int s = 0; s < 8; ++s) codes[s] = negate_bytes(codes[s], signs, s);
}
// Seven bits in each byte; the eighth makes the number of bits even.
PONDER_INLINE I with_parity(I seven) {
  I parity = seven ^ shift_right(seven, 4);
  parity = parity ^ shift_right(parity, 2);
  parity = parity ^ shift_right(parity, 1);
  return seven | shift_left(parity & iset1(0x01010101), 7);
}
// The four groups of seven bits in a word.
PONDER_INLINE I even_signs(I word) {
  return with_parity((word & iset1(0x7f)) | (shift_left(word, 1) & iset1(0x7f00)) |
                     (shift_left(word, 2) & iset1(0x7f0000)) |
                     (shift_left(word, 3) & iset1(0x7f000000)));
}

PONDER_INLINE I byte_of(I word, int i) { return shift_right(word, 8 * i) & iset1(255); }
// A point of eight components: steps of four inputs, as numbers of levels.
PONDER_INLINE void put_point(const uint32_t* points, I index, I codes[2]) {
  const I word = look_up_words(points, index);
  codes[0] = word & iset1(0x0f0f0f0f);
  codes[1] = shift_right(word, 4) & iset1(0x0f0f0f0f);
}

alignas(16) constexpr int8_t kIq2Levels[16] = {8, 25, 43};
PONDER_INLINE F half_step_scale(F d, I s, float factor) {
  return d * (set1(0.5f) + to_float(s)) * set1(factor);
}
PONDER_INLINE F odd_scale(F d, I s) { return d * to_float(shift_left(s, 1) | iset1(1)); }
// Two scales from the nibbles of a byte.
PONDER_INLINE void half_step_scales(F d, const uint8_t* p, F scale[2]) {
  const I both = widen_u8(p);
  scale[0] = half_step_scale(d, both & iset1(15), 0.25f);
  scale[1] = half_step_scale(d, shift_right(both, 4), 0.25f);
}

struct BlocksIq2Xxs {
  static constexpr int64_t kValues = 256, kBytes = 16 * 66;
  static constexpr int kStep = 32, kBias = kSigned, kMost = 43;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    const I points = load_bytes(p + 16 * 2 + 128 * b);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) put_point(kIq2XxsPoints.words, byte_of(points, k), out + 2 * k);
    look_up_all(kIq2Levels, out);
    apply_signs(even_signs(load_bytes(p + 16 * 2 + 128 * b + 64)), out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    const I word = load_bytes(p + 16 * 2 + 128 * b + 64);
    *scale = half_step_scale(half_at(p), shift_right(word, 28), 0.25f);
  }
};

struct BlocksIq2Xs {
  static constexpr int64_t kValues = 256, kBytes = 16 * 74;
  static constexpr int kStep = 16, kBias = kSigned, kMost = 43;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    const I first = load_bytes(p + 16 * 2 + 128 * b),
            second = load_bytes(p + 16 * 2 + 128 * b + 64);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const I index = shift_right(k < 2 ? first : second, k % 2 * 16) & iset1(511);
      put_point(kIq2XsPoints.words, index, out + 2 * k);
    }
    look_up_all(kIq2Levels, out);
    apply_signs(with_parity((shift_right(first, 9) & iset1(0x7f)) |
                            (shift_right(first, 17) & iset1(0x7f00)) |
                            (shift_left(second, 7) & iset1(0x7f0000)) |
                            (shift_right(second, 1) & iset1(0x7f000000))),
                out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    half_step_scales(half_at(p), p + 16 * (66 + b), scale);
  }
};

struct BlocksIq2S {
  static constexpr int64_t kValues = 256, kBytes = 16 * 82;
  static constexpr int kStep = 16, kBias = kSigned, kMost = 43;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    const I low = load_bytes(p + 16 * 2 + 64 * b), high = widen_u8(p + 16 * (66 + b));
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const I upper = shift_right(high, 2 * k) & iset1(3);
      put_point(kIq2SPoints.words, byte_of(low, k) | shift_left(upper, 8), out + 2 * k);
    }
    look_up_all(kIq2Levels, out);
    apply_signs(load_bytes(p + 16 * 34 + 64 * b), out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    half_step_scales(half_at(p), p + 16 * (74 + b), scale);
  }
};

struct BlocksIq3Xxs {
  static constexpr int64_t kValues = 256, kBytes = 16 * 98;
  static constexpr int kStep = 32, kBias = kSigned, kMost = 62;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) {
      const I points = load_bytes(p + 16 * 2 + 128 * b + s / 4 * 64);
      out[s] = look_up_words(&kIq3XxsValues, byte_of(points, s % 4));
    }
    apply_signs(even_signs(load_bytes(p + 16 * 66 + 64 * b)), out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    const I word = load_bytes(p + 16 * 66 + 64 * b);
    *scale = half_step_scale(half_at(p), shift_right(word, 28), 0.5f);
  }
};

struct BlocksIq3S {
  static constexpr int64_t kValues = 256, kBytes = 16 * 110;
  static constexpr int kStep = 32, kBias = kSigned, kMost = 15;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    const I high = widen_u8(p + 16 * (66 + b));
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) {
      const I low = load_bytes(p + 16 * 2 + 128 * b + s / 4 * 64);
      const I upper = shift_right(high, s) & iset1(1);
      out[s] = look_up_words(&kIq3SValues, byte_of(low, s % 4) | shift_left(upper, 8));
    }
    apply_signs(load_bytes(p + 16 * 74 + 64 * b), out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    const I both = widen_u8(p + 16 * (106 + b / 2));
    *scale = odd_scale(half_at(p), shift_right(both, static_cast<int>(b % 2 * 4)) & iset1(15));
  }
};

// Eight times (component + 1/8), then eight times (component - 1/8), of the components -1, 0, 1.
alignas(16) constexpr int8_t kIq1Levels[16] = {-7, 1, 9, 0, -9, -1, 7};
// A point whose shift is negative where bit 0 of `negative` is set.
PONDER_INLINE void put_iq1_point(I index, I negative, I codes[2]) {
  const I two = shift_left(negative, 2) | shift_left(negative, 10);
  const I four = two | shift_left(two, 16);
  put_point(kIq1Points.words, index, codes);
  codes[0] = codes[0] | four;
  codes[1] = codes[1] | four;
}

struct BlocksIq1S {
  static constexpr int64_t kValues = 256, kBytes = 16 * 50;
  static constexpr int kStep = 32, kBias = kSigned, kMost = 9;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    const I low = load_bytes(p + 16 * 2 + 64 * b), word = widen_u16(p + 16 * 34 + 32 * b);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const I upper = shift_right(word, 3 * k) & iset1(7);
      put_iq1_point(byte_of(low, k) | shift_left(upper, 8), shift_right(word, 15), out + 2 * k);
    }
    look_up_all(kIq1Levels, out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    const I word = widen_u16(p + 16 * 34 + 32 * b);
    *scale = odd_scale(half_at(p), shift_right(word, 12) & iset1(7)) * set1(0.125f);
  }
};

struct BlocksIq1M {
  static constexpr int64_t kValues = 256, kBytes = 16 * 56;
  static constexpr int kStep = 16, kBias = kSigned, kMost = 9;
  static constexpr bool kOffset = false;
  static PONDER_INLINE void codes(const uint8_t* p, int64_t b, I out[8]) {
    const I low = load_bytes(p + 64 * b);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const I nibble = shift_right(widen_u8(p + 16 * (32 + 2 * b + k / 2)), k % 2 * 4) & iset1(15);
      put_iq1_point(byte_of(low, k) | shift_left(nibble & iset1(7), 8), shift_right(nibble, 3),
                    out + 2 * k);
    }
    look_up_all(kIq1Levels, out);
  }
  static PONDER_INLINE void scales(const uint8_t* p, int64_t b, F* scale, F*) {
    I half = izero();
#pragma GCC unroll 4
    for (int w = 0; w < 4; ++w) {
      half = half | shift_left(shift_right(widen_u16(p + 16 * 48 + 32 * w), 12), 4 * w);
    }
    const F d = halves_to_float(half);
    const I word = widen_u16(p + 16 * 48 + b / 2 * 32);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const I s = shift_right(word, static_cast<int>(b % 2 * 6) + 3 * i) & iset1(7);
      scale[i] = odd_scale(d, s) * set1(0.125f);
    }
  }
};
