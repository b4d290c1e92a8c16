#include "quant/fp4_quants.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "quant/block.h"

namespace ponder {
namespace {

template <typename B>
std::vector<uint8_t> encode(const std::vector<float>& values) {
  std::vector<uint8_t> bytes(values.size() / B::kValues * B::kBytes);
  B::encode(values.data(), nullptr, bytes.data(), static_cast<int64_t>(values.size()));
  return bytes;
}

template <typename B>
std::vector<float> decode(const std::vector<uint8_t>& bytes) {
  std::vector<float> values(bytes.size() / B::kBytes * B::kValues);
  decode_blocks<B>(bytes.data(), values.data(), static_cast<int64_t>(values.size()));
  return values;
}

constexpr float kE2m1[] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};

TEST(Fp4Quants, Mxfp4ReadsExponentAndNibbles) {
  for (const int exponent : {0, 1, 2, 127, 130, 254}) {
    std::vector<uint8_t> block(Mxfp4::kBytes);
    block[0] = static_cast<uint8_t>(exponent);
    for (size_t j = 0; j < 16; ++j) block[1 + j] = static_cast<uint8_t>(j | (15 - j) << 4);
    const std::vector<float> values = decode<Mxfp4>(block);
    const double scale = std::ldexp(1.0, exponent - 127);
    for (size_t j = 0; j < 16; ++j) {
      const double value = (j < 8 ? 1.0 : -1.0) * double{kE2m1[j % 8]} * scale;
      EXPECT_EQ(values[j], static_cast<float>(value)) << exponent << " " << j;
      EXPECT_EQ(values[16 + 15 - j], static_cast<float>(value)) << exponent << " " << j;
    }
  }
}

TEST(Fp4Quants, Nvfp4ReadsItsFourScales) {
  std::vector<uint8_t> block(Nvfp4::kBytes, 0);
  block[0] = 0x38;  // 1
  block[1] = 0x01;  // 2^-9, the least
  block[2] = 0x7e;  // 448, the largest
  block[3] = 0x7f;  // not a number: 0
  for (size_t group = 0; group < 4; ++group) {
    block[4 + 8 * group] = 0x9f;      // -0.5 and -6
    block[4 + 8 * group + 7] = 0x72;  // 6 and 1
  }
  const std::vector<float> values = decode<Nvfp4>(block);
  const float scales[] = {1.0f, 0x1p-9f, 448.0f, 0.0f};
  for (size_t group = 0; group < 4; ++group) {
    EXPECT_EQ(values[16 * group], -6.0f * scales[group]);
    EXPECT_EQ(values[16 * group + 8], -0.5f * scales[group]);
    EXPECT_EQ(values[16 * group + 7], 1.0f * scales[group]);
    EXPECT_EQ(values[16 * group + 15], 6.0f * scales[group]);
    EXPECT_EQ(values[16 * group + 1], 0.0f);
  }
}

// All that a block can stand for comes back.
TEST(Fp4Quants, OwnValuesAreKeptToTheBit) {
  std::vector<float> values(64);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = (i % 2 == 0 ? 0.25f : -0.25f) * kE2m1[(i + 7) % 8];
  }
  EXPECT_EQ(decode<Mxfp4>(encode<Mxfp4>(values)), values);
  EXPECT_EQ(decode<Nvfp4>(encode<Nvfp4>(values)), values);
}

TEST(Fp4Quants, ScalesOfMxfp4ArePowersOfTwoBelow) {
  std::vector<float> values(32, 0.0f);
  for (const auto& [largest, exponent] :
       {std::pair{4.0f, 127}, {7.99f, 127}, {8.0f, 128}, {-0.03f, 119}, {1e-45f, 0}, {0.0f, 0}}) {
    values[5] = largest;
    EXPECT_EQ(encode<Mxfp4>(values)[0], exponent) << largest;
  }
  values[5] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(encode<Mxfp4>(values)[0], 253);
}

// Rounding to nearest, into the subnormal range and up to the largest.
TEST(Fp4Quants, ScalesOfNvfp4AreNearest) {
  std::vector<float> values(64, 0.0f);
  for (const auto& [scale, bits] : {std::pair{1.0f, 0x38},
                                    {1.0625f, 0x39},
                                    {1.06f, 0x38},
                                    {1.95f, 0x40},
                                    {0x1p-6f, 0x08},
                                    {0x1.ep-7f, 0x08},
                                    {0x1p-9f, 0x01},
                                    {0x1p-11f, 0x00},
                                    {448.0f, 0x7e},
                                    {1e9f, 0x7e}}) {
    values[20] = 6.0f * scale;
    EXPECT_EQ(encode<Nvfp4>(values)[1], bits) << scale;
  }
  values[20] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(encode<Nvfp4>(values)[1], 0);
}

// Of two values that are equally near, the smaller magnitude, for either sign.
TEST(Fp4Quants, TiesGoToTheSmallerMagnitude) {
  std::vector<float> values(32, 0.0f);
  const float ties[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  values[0] = 6.0f;
  for (size_t i = 0; i < 7; ++i) {
    values[1 + 2 * i] = ties[i];
    values[2 + 2 * i] = -ties[i];
  }
  const std::vector<float> got = decode<Mxfp4>(encode<Mxfp4>(values));
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(got[1 + 2 * i], kE2m1[i]);
    EXPECT_EQ(got[2 + 2 * i], -kE2m1[i]);
  }
}

}  // namespace
}  // namespace ponder
