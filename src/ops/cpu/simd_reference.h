// Sixteen float32 lanes in portable C++: the oracle. Every kernel is written once over these
// operations (the *-inl.h files) and compiled per instruction set; each operation is a single
// IEEE-rounded step per lane, so all instruction sets give equal bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#define PONDER_INLINE inline

namespace ponder::reference {

constexpr int kMaxRows = 4;
constexpr int kMaxPanels = 1;
constexpr int kNarrowPanels = 1;
constexpr int kCodedPanels = 1;  // panels of FP8 and GPTQ weights that go together
constexpr const char* kIsaName = "reference";

struct F {
  float v[16];
};
struct I {
  int32_t v[16];
};

template <typename Function>
inline F lanes(Function function) {
  F out;
  for (int i = 0; i < 16; ++i) out.v[i] = function(i);
  return out;
}

inline F load(const float* p) {
  return lanes([&](int i) { return p[i]; });
}
// The first n lanes (0 <= n, 16 at most count); the others are 0 and their memory is not touched.
inline F load_n(const float* p, int n) {
  return lanes([&](int i) { return i < n ? p[i] : 0.0f; });
}
inline void store(float* p, F a) { std::memcpy(p, a.v, sizeof a.v); }
inline void store_n(float* p, F a, int n) {
  for (int i = 0; i < n && i < 16; ++i) p[i] = a.v[i];
}
inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu, mantissa = half & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  if (exponent == 31) {
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13) |
                                (mantissa ? 0x400000u : 0u));
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}
inline F load_f16(const uint16_t* p) {
  return lanes([&](int i) { return half_to_float(p[i]); });
}
inline F load_bf16(const uint16_t* p) {
  return lanes([&](int i) { return std::bit_cast<float>(static_cast<uint32_t>(p[i]) << 16); });
}
// e4m3 (quant/f8.h), but for NaN, times 2^-8. Its bits are those of a float16 with a smaller exponent and
// a shorter mantissa, so that the numbers without an exponent need no case of their own.
inline F load_f8(const uint8_t* p) {
  return lanes([&](int i) {
    return half_to_float(static_cast<uint16_t>((p[i] & 0x80) << 8 | (p[i] & 0x7f) << 7));
  });
}
inline F set1(float x) {
  return lanes([&](int) { return x; });
}
inline F zero() { return set1(0.0f); }
inline F operator+(F a, F b) {
  return lanes([&](int i) { return a.v[i] + b.v[i]; });
}
inline F operator-(F a, F b) {
  return lanes([&](int i) { return a.v[i] - b.v[i]; });
}
inline F operator*(F a, F b) {
  return lanes([&](int i) { return a.v[i] * b.v[i]; });
}
inline F operator/(F a, F b) {
  return lanes([&](int i) { return a.v[i] / b.v[i]; });
}
inline F fma(F a, F b, F c) {  // a * b + c, rounded once
  return lanes([&](int i) { return std::fmaf(a.v[i], b.v[i], c.v[i]); });
}
inline F fnma(F a, F b, F c) {  // -(a * b) + c, rounded once
  return lanes([&](int i) { return std::fmaf(-a.v[i], b.v[i], c.v[i]); });
}
inline F sqrt(F a) {
  return lanes([&](int i) { return std::sqrt(a.v[i]); });
}
// As maxps and minps: the second operand where either is NaN or both are zero.
inline F max(F a, F b) {
  return lanes([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline F min(F a, F b) {
  return lanes([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline F less_select(F a, F b, F yes, F no) {  // a < b ? yes : no
  return lanes([&](int i) { return a.v[i] < b.v[i] ? yes.v[i] : no.v[i]; });
}
// a times 2^n, where the low bits of `bits` hold the integer n; the result must be a normal number.
inline F shift_exponent(F a, F bits) {
  return lanes([&](int i) {
    return std::bit_cast<float>(std::bit_cast<uint32_t>(a.v[i]) +
                                (std::bit_cast<uint32_t>(bits.v[i]) << 23));
  });
}
// The one order in which sixteen lanes are added: lane i with i + 8, then i + 4, i + 2, i + 1.
inline float reduce_add(F a) {
  for (int width = 8; width >= 1; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] += a.v[i + width];
  }
  return a.v[0];
}
inline float reduce_max(F a) {
  float out = a.v[0];
  for (int i = 1; i < 16; ++i) out = out > a.v[i] ? out : a.v[i];
  return out;
}
inline void spill(F a, float out[16]) { store(out, a); }

// Integers: a lane is an int32 or four bytes, of which byte j belongs to step j of four.
constexpr int kQuantPanels = 1;  // panels of a quantized product that go together
constexpr int kQuantRows = 1;    // and rows
constexpr int kSigned = 256;     // bias of codes that are signed bytes; others are code - bias

template <typename Function>
inline I int_lanes(Function function) {
  I out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<int32_t>(function(i));
  return out;
}
inline I izero() { return I{}; }
inline I iset1(int32_t x) {
  return int_lanes([&](int) { return x; });
}
inline I load_bytes(const uint8_t* p) {
  I out;
  std::memcpy(out.v, p, sizeof out.v);
  return out;
}
inline I widen_u8(const uint8_t* p) {
  return int_lanes([&](int i) { return p[i]; });
}
inline I widen_i8(const uint8_t* p) {
  return int_lanes([&](int i) { return static_cast<int8_t>(p[i]); });
}
inline I widen_u16(const uint8_t* p) {
  return int_lanes([&](int i) { return p[2 * i] | p[2 * i + 1] << 8; });
}
inline I operator&(I a, I b) {
  return int_lanes([&](int i) { return a.v[i] & b.v[i]; });
}
inline I operator|(I a, I b) {
  return int_lanes([&](int i) { return a.v[i] | b.v[i]; });
}
inline I operator^(I a, I b) {
  return int_lanes([&](int i) { return a.v[i] ^ b.v[i]; });
}
inline I operator+(I a, I b) {
  return int_lanes([&](int i) { return a.v[i] + b.v[i]; });
}
inline I operator-(I a, I b) {
  return int_lanes([&](int i) { return a.v[i] - b.v[i]; });
}
inline I shift_right(I a, int n) {  // zeros come in
  return int_lanes([&](int i) { return static_cast<uint32_t>(a.v[i]) >> n; });
}
inline I shift_left(I a, int n) {
  return int_lanes([&](int i) { return static_cast<uint32_t>(a.v[i]) << n; });
}
// Each byte, 0 to 15, to the table's byte of that number.
inline I look_up(const int8_t* table, I index) {
  uint8_t bytes[64];
  std::memcpy(bytes, index.v, sizeof bytes);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(table[b]);
  return load_bytes(bytes);
}
// The 32-bit word of each lane's number in a table of such words.
inline I look_up_words(const void* table, I index) {
  return int_lanes([&](int i) {
    int32_t word;
    std::memcpy(&word, static_cast<const uint8_t*>(table) + 4 * index.v[i], sizeof word);
    return word;
  });
}
// Byte i of each lane is negated if bit 4 * step + i of the lane of `signs` is set.
inline I negate_bytes(I codes, I signs, int step) {
  uint8_t bytes[64];
  std::memcpy(bytes, codes.v, sizeof bytes);
  for (int i = 0; i < 64; ++i) {
    const bool negative = (static_cast<uint32_t>(signs.v[i / 4]) >> (4 * step + i % 4) & 1u) != 0;
    if (negative) bytes[i] = static_cast<uint8_t>(-bytes[i]);
  }
  return load_bytes(bytes);
}
inline F to_float(I a) {
  return lanes([&](int i) { return static_cast<float>(a.v[i]); });
}
inline F as_floats(I bits) {
  return lanes([&](int i) { return std::bit_cast<float>(bits.v[i]); });
}
// Lanes hold the bits of float16 numbers.
inline F halves_to_float(I halves) {
  return lanes([&](int i) { return half_to_float(static_cast<uint16_t>(halves.v[i])); });
}
// Sixteen integers within +-127 as bytes.
inline void store_i8(int8_t* p, F a) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(a.v[i]);
}

// Codes as dot_tile() wants them.
template <int kBias>
inline I ready(I codes) {
  return codes;
}
// Sums of four times kSteps products of codes (as unsigned bytes minus kBias, or signed bytes) with
// activations: sum[r][p] for rows r at x + r * x_step and panels p. All are exact. minus_128: per row
// -128 times the sum of its activations, which an instruction set may use to take off the bias.
// kMost: the largest code as an unsigned byte.
template <int R, int P, int kBias, int kMost, int kSteps>
inline void dot_tile(I (&sum)[R][P], const I (*codes)[8], const int8_t* x, int64_t x_step,
                     const int32_t*) {
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < P; ++p) {
      sum[r][p] = izero();
      for (int s = 0; s < kSteps; ++s) {
        uint8_t bytes[64];
        std::memcpy(bytes, codes[p][s].v, sizeof bytes);
        for (int i = 0; i < 64; ++i) {
          const int code = kBias == kSigned ? static_cast<int8_t>(bytes[i]) : bytes[i] - kBias;
          sum[r][p].v[i / 4] += code * x[r * x_step + 4 * s + i % 4];
        }
      }
    }
  }
}
inline void prefetch(const void*) {}
// Multiplies and adds of small integers as fast as they go, about `count` of them; how many it did.
inline int64_t int8_peak(int64_t count) {
  volatile int32_t sink = 0;
  int32_t sums[16] = {};
  for (int64_t i = 0; i < count; i += 32) {
    for (int j = 0; j < 16; ++j) sums[j] += (j + 1) * static_cast<int8_t>(i);
  }
  for (int32_t s : sums) sink = sink + s;
  return (count + 31) / 32 * 32;
}

// dst[c * ld_dst + r] = src[r * ld_src + c] for r < rows <= 16 and c < cols <= 16. Writes 16 floats
// at each of the `cols` destination rows in order, zeros beyond `rows`: with ld_dst < 16 each row
// overwrites the zeros of the one before.
inline void transpose16(const float* src, int64_t ld_src, int rows, int cols, float* dst,
                        int64_t ld_dst) {
  for (int c = 0; c < cols; ++c) {
    for (int r = 0; r < 16; ++r) dst[c * ld_dst + r] = r < rows ? src[r * ld_src + c] : 0.0f;
  }
}

}  // namespace ponder::reference
