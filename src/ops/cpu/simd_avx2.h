// Sixteen float32 lanes as two AVX2 registers. See simd_reference.h for what each operation means.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define PONDER_INLINE inline __attribute__((always_inline))

namespace ponder::avx2 {

constexpr int kMaxRows = 6;
constexpr int kMaxPanels = 1;
constexpr int kNarrowPanels = 2;
constexpr int kCodedPanels = 2;
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
PONDER_INLINE __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
PONDER_INLINE F load_f8(const uint8_t* p) {
  const __m256i x = _mm256_cvtepu8_epi16(load16(p));
  // The sign twice, from which the mask takes the second off.
  const __m256i half = _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(x, 8), 1),
                                        _mm256_set1_epi16(static_cast<short>(0xbf80)));
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(half)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))};
}
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

constexpr int kQuantPanels = 1;
constexpr int kQuantRows = 4;
constexpr int kSigned = 256;

PONDER_INLINE __m128i load8(const uint8_t* p) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
}
PONDER_INLINE I izero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
PONDER_INLINE I iset1(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
PONDER_INLINE I load_bytes(const uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
PONDER_INLINE I widen_u8(const uint8_t* p) {
  return {_mm256_cvtepu8_epi32(load8(p)), _mm256_cvtepu8_epi32(load8(p + 8))};
}
PONDER_INLINE I widen_i8(const uint8_t* p) {
  return {_mm256_cvtepi8_epi32(load8(p)), _mm256_cvtepi8_epi32(load8(p + 8))};
}
PONDER_INLINE I widen_u16(const uint8_t* p) {
  return {_mm256_cvtepu16_epi32(load16(p)), _mm256_cvtepu16_epi32(load16(p + 16))};
}
PONDER_INLINE I operator&(I a, I b) {
  return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
PONDER_INLINE I operator|(I a, I b) {
  return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
PONDER_INLINE I operator^(I a, I b) {
  return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}
PONDER_INLINE I operator+(I a, I b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
PONDER_INLINE I operator-(I a, I b) {
  return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
PONDER_INLINE I shift_right(I a, int n) {
  const __m128i count = _mm_cvtsi32_si128(n);
  return {_mm256_srl_epi32(a.lo, count), _mm256_srl_epi32(a.hi, count)};
}
PONDER_INLINE I shift_left(I a, int n) {
  const __m128i count = _mm_cvtsi32_si128(n);
  return {_mm256_sll_epi32(a.lo, count), _mm256_sll_epi32(a.hi, count)};
}
PONDER_INLINE I look_up(const int8_t* table, I index) {
  const __m256i all =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(all, index.lo), _mm256_shuffle_epi8(all, index.hi)};
}
PONDER_INLINE I look_up_words(const void* table, I index) {
  const int* words = static_cast<const int*>(table);
  return {_mm256_i32gather_epi32(words, index.lo, 4), _mm256_i32gather_epi32(words, index.hi, 4)};
}
PONDER_INLINE I negate_bytes(I codes, I signs, int step) {
  const __m256i lanes = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  const __m256i place = _mm256_add_epi8(lanes, _mm256_set1_epi8(static_cast<char>(step / 2)));
  const __m256i bits = _mm256_set1_epi32(step % 2 == 0 ? 0x08040201 : INT32_MIN + 0x00402010);
  const auto negate = [&](__m256i code, __m256i sign) {
    const __m256i bit = _mm256_and_si256(_mm256_shuffle_epi8(sign, place), bits);
    const __m256i negative = _mm256_cmpeq_epi8(bit, bits);
    return _mm256_sub_epi8(_mm256_xor_si256(code, negative), negative);
  };
  return {negate(codes.lo, signs.lo), negate(codes.hi, signs.hi)};
}
PONDER_INLINE F halves_to_float(I halves) {
  const __m256i packed = _mm256_packus_epi32(halves.lo, halves.hi);  // 64 bits of each in turn
  const __m256i words = _mm256_permute4x64_epi64(packed, 0xd8);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(words)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(words, 1))};
}
PONDER_INLINE F to_float(I a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
PONDER_INLINE F as_floats(I bits) {
  return {_mm256_castsi256_ps(bits.lo), _mm256_castsi256_ps(bits.hi)};
}
PONDER_INLINE void store_i8(int8_t* p, F a) {
  const __m256i lo = _mm256_cvtps_epi32(a.lo), hi = _mm256_cvtps_epi32(a.hi);
  const __m128i low = _mm_packs_epi32(_mm256_castsi256_si128(lo), _mm256_extracti128_si256(lo, 1));
  const __m128i high = _mm_packs_epi32(_mm256_castsi256_si128(hi), _mm256_extracti128_si256(hi, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(low, high));
}

template <int kBias>
PONDER_INLINE I ready(I codes) {
  return codes;
}
// Eight lanes of R rows; codes of step s at codes[s * 2]. maddubs adds two products of an unsigned and a
// signed byte in 16 bits and saturates. Unsigned codes up to kMost times activations up to 127 leave
// room for kPairs such sums; of signed codes the sign goes to the activation, kMost is
// the largest size, and 2 * 128 * 127 fits.
template <int R, int kBias, int kMost, int kSteps>
PONDER_INLINE void dot8(__m256i (&sum)[R], const __m256i* codes, const int8_t* x, int64_t x_step) {
  constexpr int kPairs = kMost == 255 ? 1 : 32767 / (2 * 127 * kMost);
  static_assert(kPairs >= 1);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i pairs[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) sum[r] = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int s = 0; s < kSteps; ++s) {
    const __m256i code = codes[2 * s];
    const __m256i size = kBias == kSigned ? _mm256_abs_epi8(code) : code;
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      int32_t four;
      __builtin_memcpy(&four, x + r * x_step + 4 * s, 4);
      __m256i a = _mm256_set1_epi32(four);
      if (kBias == kSigned) a = _mm256_sign_epi8(a, code);
      const __m256i more = _mm256_maddubs_epi16(size, a);
      pairs[r] = s % kPairs == 0 ? more : _mm256_add_epi16(pairs[r], more);
      if (s % kPairs == kPairs - 1 || s == kSteps - 1) {
        sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(pairs[r], ones));
      }
      asm("" : "+x"(pairs[r]), "+x"(sum[r]));  // in this order, or GCC runs out of registers
    }
  }
}
template <int R, int P, int kBias, int kMost, int kSteps>
PONDER_INLINE void dot_tile(I (&sum)[R][P], const I (*codes)[8], const int8_t* x, int64_t x_step,
                            const int32_t* minus_128) {
  static_assert(P == 1);
  __m256i lo[R], hi[R];
  dot8<R, kBias, kMost, kSteps>(lo, &codes[0][0].lo, x, x_step);
  asm("" : "+r"(x));  // or GCC keeps all of x for this half
  dot8<R, kBias, kMost, kSteps>(hi, &codes[0][0].hi, x, x_step);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    sum[r][0] = {lo[r], hi[r]};
    if constexpr (kBias != 0 && kBias != kSigned) {  // minus kBias times the sum of activations
      sum[r][0] = sum[r][0] + iset1(minus_128[r] / (128 / kBias));
    }
  }
}
PONDER_INLINE void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}
inline int64_t int8_peak(
    int64_t count) {  // without the step to 32 bits, which small codes seldom need
  constexpr int kChains = 10, kEach = 64;
  __m256i sums[kChains], x = _mm256_set1_epi8(1);
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  int64_t done = 0;
  for (; done < count; done += kChains * kEach) {
#pragma GCC unroll 10
    for (int i = 0; i < kChains; ++i) {
      sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(x, x));
      asm volatile("" : "+x"(x));
    }
  }
  for (int i = 1; i < kChains; ++i) sums[0] = _mm256_add_epi16(sums[0], sums[i]);
  asm volatile("" : : "x"(sums[0]));
  return done;
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
