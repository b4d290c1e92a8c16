#include "core/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ponder {
namespace {

// What the 16 bits mean, straight from the definition of the format.
double value_of(uint16_t bits, int exponent_bits) {
  const int mantissa_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

struct Half {
  int exponent_bits;
  float (*decode)(uint16_t);
  uint16_t (*encode)(float);
};
constexpr Half kF16{5, f16_to_f32, f32_to_f16}, kBf16{8, bf16_to_f32, f32_to_bf16};

TEST(DType, EveryHalfDecodesAndComesBack) {
  for (const Half& half : {kF16, kBf16}) {
    for (uint32_t i = 0; i < 65536; ++i) {
      const auto bits = static_cast<uint16_t>(i);
      const double expected = value_of(bits, half.exponent_bits);
      const float got = half.decode(bits);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(got)) << i;
        ASSERT_TRUE(std::isnan(half.decode(half.encode(got)))) << i;
        continue;
      }
      ASSERT_EQ(static_cast<double>(got), expected) << i;
      ASSERT_EQ(std::signbit(got), std::signbit(expected)) << i;
      ASSERT_EQ(half.encode(got), bits) << i;
    }
  }
}

// Between two neighbouring halves: below, at and above the middle, of both signs.
TEST(DType, EncodingRoundsToNearestTiesToEven) {
  for (const Half& half : {kF16, kBf16}) {
    const uint16_t infinity = half.encode(std::numeric_limits<float>::infinity());
    for (uint16_t bits = 0; bits + 1 < infinity; ++bits) {
      const double low = value_of(bits, half.exponent_bits);
      const double high = value_of(static_cast<uint16_t>(bits + 1), half.exponent_bits);
      const float middle = static_cast<float>((low + high) / 2);
      ASSERT_EQ(static_cast<double>(middle), (low + high) / 2) << "exact in float32";
      const uint16_t even = bits % 2 == 0 ? bits : static_cast<uint16_t>(bits + 1);
      const float below = std::nextafter(middle, 0.0f);
      const float above = std::nextafter(middle, std::numeric_limits<float>::max());
      ASSERT_EQ(half.encode(middle), even) << bits;
      ASSERT_EQ(half.encode(below), bits) << bits;
      ASSERT_EQ(half.encode(above), bits + 1) << bits;
      ASSERT_EQ(half.encode(-middle), even | 0x8000) << bits;
      ASSERT_EQ(half.encode(-below), bits | 0x8000) << bits;
      ASSERT_EQ(half.encode(-above), (bits + 1) | 0x8000) << bits;
    }
  }
}

TEST(DType, OverflowGoesToInfinity) {
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7f7f7fffu)), 0x7f7f);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(DType, NaNStaysNaNWhateverItsPayload) {
  for (uint32_t payload : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
    const float nan = std::bit_cast<float>(payload);
    EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(nan)))) << payload;
    EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(nan)))) << payload;
  }
}

}  // namespace
}  // namespace ponder
