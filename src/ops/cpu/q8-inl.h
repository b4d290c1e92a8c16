// Q8_0 products: exact integer dots inside a block of 32, then one fma per block, in block order.

void quantize_q8(const float* x, int64_t k, int8_t* q, float* scales) {
  for (int64_t b = 0; b < k / 32; ++b) {
    const F lo = load(x + 32 * b), hi = load(x + 32 * b + 16);
    const F magnitude = max(max(lo, zero() - lo), max(hi, zero() - hi));
    const float scale = reduce_max(magnitude) / 127.0f;
    scales[b] = scale;
    // A subnormal scale has no finite inverse: such a block is as good as zero.
    const F inverse = set1(scale >= 0x1p-126f ? 1.0f / scale : 0.0f);
    const F magic = set1(12582912.0f);  // rounds to nearest, ties to even
    float rounded[32];
    spill(fma(lo, inverse, magic) - magic, rounded);
    spill(fma(hi, inverse, magic) - magic, rounded + 16);
    for (int i = 0; i < 32; ++i) {
      // NaN becomes -127: no int8 stands for it, and converting it would be undefined.
      const float low = rounded[i] > -127.0f ? rounded[i] : -127.0f;
      const float v = low < 127.0f ? low : 127.0f;
      q[32 * b + i] = static_cast<int8_t>(v);
    }
  }
}

template <int R>
PONDER_INLINE void q8_rows(const int8_t* q, const float* scales, int64_t k, const uint8_t* panel,
                           float* y, int64_t ldy, int n) {
  constexpr int64_t kBlockBytes = 16 * 4 + 32 * 16;
  F acc[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) acc[r] = zero();
  for (int64_t b = 0; b < k / 32; ++b, panel += kBlockBytes) {
    const int8_t* w = reinterpret_cast<const int8_t*>(panel + 16 * 4);
    I sum[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) sum[r] = izero();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        int32_t x;
        __builtin_memcpy(&x, q + r * k + 32 * b + 4 * j, 4);
        sum[r] = dot4(sum[r], w + 64 * j, x);
      }
    }
    const F w_scale = load(reinterpret_cast<const float*>(panel));
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      acc[r] = fma(to_float(sum[r]), w_scale * set1(scales[r * (k / 32) + b]), acc[r]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) store_n(y + r * ldy, acc[r], n);
}

void gemm_q8(const int8_t* q, const float* scales, int64_t rows, int64_t k, const void* panel,
             float* y, int64_t ldy, int64_t n) {
  const uint8_t* w = static_cast<const uint8_t*>(panel);
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    q8_rows<4>(q + r * k, scales + r * (k / 32), k, w, y + r * ldy, ldy, tail(n));
  }
  for (; r < rows; ++r)
    q8_rows<1>(q + r * k, scales + r * (k / 32), k, w, y + r * ldy, ldy, tail(n));
}
