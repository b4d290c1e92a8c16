#include "quant/f8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ponder {
namespace {

TEST(F8E4M3, KnownValues) {
  EXPECT_EQ(f8_e4m3_to_f32(0x00), 0.0f);
  EXPECT_TRUE(std::signbit(f8_e4m3_to_f32(0x80)));
  EXPECT_EQ(f8_e4m3_to_f32(0x01), 0x1p-9f);
  EXPECT_EQ(f8_e4m3_to_f32(0x07), 7 * 0x1p-9f);
  EXPECT_EQ(f8_e4m3_to_f32(0x08), 0x1p-6f);
  EXPECT_EQ(f8_e4m3_to_f32(0x38), 1.0f);
  EXPECT_EQ(f8_e4m3_to_f32(0xba), -1.25f);
  EXPECT_EQ(f8_e4m3_to_f32(0x7e), 448.0f);
  EXPECT_TRUE(std::isnan(f8_e4m3_to_f32(0x7f)));
  EXPECT_TRUE(std::isnan(f8_e4m3_to_f32(0xff)));
}

TEST(F8E4M3, EncodesEveryValueAndRoundsTiesToEven) {
  for (uint32_t code = 0; code < 256; ++code) {
    const auto bits = static_cast<uint8_t>(code);
    EXPECT_EQ(f32_to_f8_e4m3(f8_e4m3_to_f32(bits)), bits);
  }
  for (uint32_t code = 0; code < 0x7e; ++code) {
    const auto low = static_cast<uint8_t>(code), high = static_cast<uint8_t>(code + 1);
    const float middle = 0.5f * (f8_e4m3_to_f32(low) + f8_e4m3_to_f32(high));
    EXPECT_EQ(f32_to_f8_e4m3(middle), code % 2 == 0 ? low : high) << middle;
    EXPECT_EQ(f32_to_f8_e4m3(std::nextafter(middle, 0.0f)), low) << middle;
    EXPECT_EQ(f32_to_f8_e4m3(std::nextafter(middle, 1e3f)), high) << middle;
    EXPECT_EQ(f32_to_f8_e4m3(-std::nextafter(middle, 1e3f)), high | 0x80) << middle;
  }
}

TEST(F8E4M3, SaturatesAndKeepsNan) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float value : {449.0f, 464.0f, 1e30f, kInfinity}) {
    EXPECT_EQ(f32_to_f8_e4m3(value), 0x7e);
    EXPECT_EQ(f32_to_f8_e4m3(-value), 0xfe);
  }
  EXPECT_EQ(f32_to_f8_e4m3(std::numeric_limits<float>::quiet_NaN()), 0x7f);
  EXPECT_EQ(f32_to_f8_e4m3(1e-45f), 0x00);
  EXPECT_EQ(f32_to_f8_e4m3(-1e-45f), 0x80);
}

}  // namespace
}  // namespace ponder
