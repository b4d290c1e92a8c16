// Sixteen float32 lanes on AVX-512. See simd_reference.h for what each operation means.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define PONDER_INLINE inline __attribute__((always_inline))

namespace ponder::avx512 {

constexpr int kMaxRows = 12;   // microkernel tile: rows of activations
constexpr int kMaxPanels = 2;  // and panels of 16 outputs
constexpr int kNarrowPanels =
    4;  // and panels of a tile of one or two rows: enough chains to hide latency
constexpr int kCodedPanels = 4;
constexpr const char* kIsaName = "avx512";

struct F {
  __m512 v;
};
struct I {
  __m512i v;
};

PONDER_INLINE F load(const float* p) { return {_mm512_loadu_ps(p)}; }
PONDER_INLINE F load_n(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p)};
}
PONDER_INLINE void store(float* p, F a) { _mm512_storeu_ps(p, a.v); }
PONDER_INLINE void store_n(float* p, F a, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), a.v);
}
PONDER_INLINE F load_f16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
PONDER_INLINE F load_bf16(const uint16_t* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16))};
}
PONDER_INLINE __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
PONDER_INLINE F load_f8(const uint8_t* p) {
  const __m256i x = _mm256_cvtepu8_epi16(load16(p));
  // The sign twice, from which the mask takes the second off.
  const __m256i half = _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(x, 8), 1),
                                        _mm256_set1_epi16(static_cast<short>(0xbf80)));
  return {_mm512_cvtph_ps(half)};
}
PONDER_INLINE F set1(float x) { return {_mm512_set1_ps(x)}; }
PONDER_INLINE F zero() { return {_mm512_setzero_ps()}; }
PONDER_INLINE F operator+(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
PONDER_INLINE F operator-(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
PONDER_INLINE F operator*(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
PONDER_INLINE F operator/(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
PONDER_INLINE F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
PONDER_INLINE F fnma(F a, F b, F c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
PONDER_INLINE F sqrt(F a) { return {_mm512_sqrt_ps(a.v)}; }
PONDER_INLINE F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
PONDER_INLINE F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
PONDER_INLINE F less_select(F a, F b, F yes, F no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}
PONDER_INLINE F shift_exponent(F a, F bits) {
  return {_mm512_castsi512_ps(_mm512_add_epi32(
      _mm512_castps_si512(a.v), _mm512_slli_epi32(_mm512_castps_si512(bits.v), 23)))};
}
PONDER_INLINE float reduce_add(F a) {
  const __m256 x = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 z = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(z, _mm_shuffle_ps(z, z, 1)));
}
PONDER_INLINE float reduce_max(F a) { return _mm512_reduce_max_ps(a.v); }
PONDER_INLINE void spill(F a, float out[16]) { _mm512_storeu_ps(out, a.v); }

constexpr int kQuantPanels = 2;
constexpr int kQuantRows = 2;
constexpr int kSigned = 256;

PONDER_INLINE I izero() { return {_mm512_setzero_si512()}; }
PONDER_INLINE I iset1(int32_t x) { return {_mm512_set1_epi32(x)}; }
PONDER_INLINE I load_bytes(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
PONDER_INLINE I widen_u8(const uint8_t* p) { return {_mm512_cvtepu8_epi32(load16(p))}; }
PONDER_INLINE I widen_i8(const uint8_t* p) { return {_mm512_cvtepi8_epi32(load16(p))}; }
PONDER_INLINE I widen_u16(const uint8_t* p) {
  return {_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
PONDER_INLINE I operator&(I a, I b) { return {_mm512_and_si512(a.v, b.v)}; }
PONDER_INLINE I operator|(I a, I b) { return {_mm512_or_si512(a.v, b.v)}; }
PONDER_INLINE I operator^(I a, I b) { return {_mm512_xor_si512(a.v, b.v)}; }
PONDER_INLINE I operator+(I a, I b) { return {_mm512_add_epi32(a.v, b.v)}; }
PONDER_INLINE I operator-(I a, I b) { return {_mm512_sub_epi32(a.v, b.v)}; }
PONDER_INLINE I shift_right(I a, int n) { return {_mm512_srl_epi32(a.v, _mm_cvtsi32_si128(n))}; }
PONDER_INLINE I shift_left(I a, int n) { return {_mm512_sll_epi32(a.v, _mm_cvtsi32_si128(n))}; }
PONDER_INLINE I look_up(const int8_t* table, I index) {
  const __m512i all =
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm512_shuffle_epi8(all, index.v)};
}
PONDER_INLINE I look_up_words(const void* table, I index) {
  return {_mm512_i32gather_epi32(index.v, table, 4)};
}
PONDER_INLINE I negate_bytes(I codes, I signs, int step) {
  const __m512i lanes =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  const __m512i place = _mm512_add_epi8(lanes, _mm512_set1_epi8(static_cast<char>(step / 2)));
  const __m512i bits = _mm512_set1_epi32(step % 2 == 0 ? 0x08040201 : INT32_MIN + 0x00402010);
  const __mmask64 negative = _mm512_test_epi8_mask(_mm512_shuffle_epi8(signs.v, place), bits);
  return {_mm512_mask_sub_epi8(codes.v, negative, _mm512_setzero_si512(), codes.v)};
}
PONDER_INLINE F halves_to_float(I halves) {
  return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(halves.v))};
}
PONDER_INLINE F to_float(I a) { return {_mm512_cvtepi32_ps(a.v)}; }
PONDER_INLINE F as_floats(I bits) { return {_mm512_castsi512_ps(bits.v)}; }
PONDER_INLINE void store_i8(int8_t* p, F a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}

// vpdpbusd takes unsigned codes: every bias becomes 128, which minus_128 takes off again.
template <int kBias>
PONDER_INLINE I ready(I codes) {
  if constexpr (kBias == 0 || kBias == 128) return codes;
  if constexpr (kBias == kSigned) return {_mm512_xor_si512(codes.v, _mm512_set1_epi8(-128))};
  return {_mm512_add_epi8(codes.v, _mm512_set1_epi8(static_cast<char>(128 - kBias)))};
}
template <int R, int P, int kBias, int kMost, int kSteps>
PONDER_INLINE void dot_tile(I (&sum)[R][P], const I (*codes)[8], const int8_t* x, int64_t x_step,
                            const int32_t* minus_128) {
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const I start = kBias == 0 ? izero() : iset1(minus_128[r]);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) sum[r][p] = start;
  }
#pragma GCC unroll 8
  for (int s = 0; s < kSteps; ++s) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      int32_t four;
      __builtin_memcpy(&four, x + r * x_step + 4 * s, 4);
      const __m512i a = _mm512_set1_epi32(four);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sum[r][p].v = _mm512_dpbusd_epi32(sum[r][p].v, codes[p][s].v, a);
    }
  }
}
PONDER_INLINE void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}
inline int64_t int8_peak(int64_t count) {
  constexpr int kChains = 12, kEach = 128;
  __m512i sums[kChains], x = _mm512_set1_epi8(1);
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  int64_t done = 0;
  for (; done < count; done += kChains * kEach) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], x, x);
    asm volatile("" : "+v"(x));
  }
  for (int i = 1; i < kChains; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
  asm volatile("" : : "v"(sums[0]));
  return done;
}

// dst[c * ld_dst + r] = src[r * ld_src + c] for r < rows <= 16 and c < cols <= 16. Writes 16 floats
// at each of the `cols` destination rows in order, zeros beyond `rows`: with ld_dst < 16 each row
// overwrites the zeros of the one before.
PONDER_INLINE void transpose16(const float* src, int64_t ld_src, int rows, int cols, float* dst,
                               int64_t ld_dst) {
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    a[i] = i < rows ? load_n(src + i * ld_src, cols).v : _mm512_setzero_ps();
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    b[2 * i] = _mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d x0 = _mm512_castps_pd(b[4 * i]), x1 = _mm512_castps_pd(b[4 * i + 1]);
    const __m512d x2 = _mm512_castps_pd(b[4 * i + 2]), x3 = _mm512_castps_pd(b[4 * i + 3]);
    a[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(x0, x2));
    a[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x0, x2));
    a[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(x1, x3));
    a[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(x1, x3));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4;
       ++i) {  // a[4j + i]: column i of each 128-bit lane, source rows 4j to 4j + 3
    b[i] = _mm512_shuffle_f32x4(a[i], a[4 + i], 0x88);
    b[4 + i] = _mm512_shuffle_f32x4(a[i], a[4 + i], 0xdd);
    b[8 + i] = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0x88);
    b[12 + i] = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    a[i] = _mm512_shuffle_f32x4(b[i], b[8 + i], 0x88);
    a[4 + i] = _mm512_shuffle_f32x4(b[4 + i], b[12 + i], 0x88);
    a[8 + i] = _mm512_shuffle_f32x4(b[i], b[8 + i], 0xdd);
    a[12 + i] = _mm512_shuffle_f32x4(b[4 + i], b[12 + i], 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    if (i < cols) _mm512_storeu_ps(dst + i * ld_dst, a[i]);
  }
}

}  // namespace ponder::avx512
