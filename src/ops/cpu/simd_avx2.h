// Sixteen float32 lanes as two AVX2 registers. See simd_reference.h for what each operation means.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define PONDER_INLINE inline __attribute__((always_inline))

namespace ponder::avx2 {

constexpr int kMaxRows = 6;
constexpr int kMaxPanels = 1;
constexpr int kNarrowPanels = 2;
constexpr const char* kIsaName = "avx2";

struct F {
  __m256 lo, hi;
};
struct I {
  __m256i lo, hi;
};

PONDER_INLINE __m256i mask_n(int n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
}
PONDER_INLINE F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
PONDER_INLINE F load_n(const float* p, int n) {
  return {_mm256_maskload_ps(p, mask_n(n)), _mm256_maskload_ps(p + 8, mask_n(n - 8))};
}
PONDER_INLINE void store(float* p, F a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
PONDER_INLINE void store_n(float* p, F a, int n) {
  _mm256_maskstore_ps(p, mask_n(n), a.lo);
  _mm256_maskstore_ps(p + 8, mask_n(n - 8), a.hi);
}
PONDER_INLINE F load_f16(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
PONDER_INLINE __m256 bf16x8(const uint16_t* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
}
PONDER_INLINE F load_bf16(const uint16_t* p) { return {bf16x8(p), bf16x8(p + 8)}; }
PONDER_INLINE F set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
PONDER_INLINE F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
PONDER_INLINE F operator+(F a, F b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
PONDER_INLINE F operator-(F a, F b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
PONDER_INLINE F operator*(F a, F b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
PONDER_INLINE F operator/(F a, F b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
PONDER_INLINE F fma(F a, F b, F c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
PONDER_INLINE F fnma(F a, F b, F c) {
  return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
PONDER_INLINE F sqrt(F a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
PONDER_INLINE F max(F a, F b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
PONDER_INLINE F min(F a, F b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
PONDER_INLINE F less_select(F a, F b, F yes, F no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}
PONDER_INLINE __m256 shift_exponent8(__m256 a, __m256 bits) {
  return _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(bits), 23)));
}
PONDER_INLINE F shift_exponent(F a, F bits) {
  return {shift_exponent8(a.lo, bits.lo), shift_exponent8(a.hi, bits.hi)};
}
PONDER_INLINE float reduce_add(F a) {
  const __m256 x = _mm256_add_ps(a.lo, a.hi);
  const __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 z = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(z, _mm_shuffle_ps(z, z, 1)));
}
PONDER_INLINE float reduce_max(F a) {
  const __m256 x = _mm256_max_ps(a.lo, a.hi);
  const __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 z = _mm_max_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_max_ss(z, _mm_shuffle_ps(z, z, 1)));
}
PONDER_INLINE void spill(F a, float out[16]) { store(out, a); }

PONDER_INLINE I izero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
PONDER_INLINE F to_float(I a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
// maddubs saturates its sums of two products at 16 bits; |w| <= 128 and |x| <= 127 keep them at
// 32,512, so it is exact.
PONDER_INLINE __m256i dot4x8(__m256i acc, __m256i b, __m256i a) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(b), _mm256_sign_epi8(a, b));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
PONDER_INLINE I dot4(I acc, const int8_t* w, int32_t x) {
  const __m256i a = _mm256_set1_epi32(x);
  return {dot4x8(acc.lo, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)), a),
          dot4x8(acc.hi, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 32)), a)};
}

// out[c], lane r = in[r], lane c.
PONDER_INLINE void transpose8(const __m256* in, __m256* out) {
  __m256 a[8], b[8];
  for (int i = 0; i < 4; ++i) {
    a[2 * i] = _mm256_unpacklo_ps(in[2 * i], in[2 * i + 1]);
    a[2 * i + 1] = _mm256_unpackhi_ps(in[2 * i], in[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    b[4 * i] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0x44);
    b[4 * i + 1] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0xee);
    b[4 * i + 2] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0x44);
    b[4 * i + 3] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    out[i] = _mm256_permute2f128_ps(b[i], b[4 + i], 0x20);
    out[4 + i] = _mm256_permute2f128_ps(b[i], b[4 + i], 0x31);
  }
}
// See simd_avx512.h.
PONDER_INLINE void transpose16(const float* src, int64_t ld_src, int rows, int cols, float* dst,
                               int64_t ld_dst) {
  __m256 lo[16], hi[16];
  for (int i = 0; i < 16; ++i) {
    const F row = i < rows ? load_n(src + i * ld_src, cols) : zero();
    lo[i] = row.lo;
    hi[i] = row.hi;
  }
  __m256 out[16][2];
  for (int half = 0; half < 2; ++half) {
    __m256 columns[8];
    transpose8(lo + 8 * half, columns);
    for (int c = 0; c < 8; ++c) out[c][half] = columns[c];
    transpose8(hi + 8 * half, columns);
    for (int c = 0; c < 8; ++c) out[8 + c][half] = columns[c];
  }
  // In the order of the columns: where ld_dst < 16 (pack_rows) each overwrites the zeros of the one
  // before.
  for (int c = 0; c < cols; ++c) {
    _mm256_storeu_ps(dst + c * ld_dst, out[c][0]);
    _mm256_storeu_ps(dst + c * ld_dst + 8, out[c][1]);
  }
}

}  // namespace ponder::avx2
