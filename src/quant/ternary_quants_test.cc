#include "quant/ternary_quants.h"

#include <gtest/gtest.h>

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

// -d, 0 and d in a pattern without a period.
std::vector<float> ternary(size_t n, float d) {
  std::vector<float> values(n);
  uint32_t state = 7;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = d * (static_cast<float>(state >> 16 & 0xffu) < 85.0f    ? -1.0f
                 : static_cast<float>(state >> 16 & 0xffu) < 170.0f ? 0.0f
                                                                    : 1.0f);
  }
  return values;
}

TEST(TernaryQuants, TernaryWeightsAreKeptToTheBit) {
  const std::vector<float> values = ternary(512, 0.75f);
  EXPECT_EQ(decode<Tq1_0>(encode<Tq1_0>(values)), values);
  EXPECT_EQ(decode<Tq2_0>(encode<Tq2_0>(values)), values);
  EXPECT_EQ(decode<Q2_0>(encode<Q2_0>(values)), values);
}

TEST(TernaryQuants, BinaryWeightsAreKeptToTheBit) {
  std::vector<float> values = ternary(256, 0.5f);
  for (float& value : values) value = value == 0.0f ? 0.5f : value;
  EXPECT_EQ(decode<Q1_0>(encode<Q1_0>(values)), values);
}

// A byte's first digit is the most significant: 2 of 3^5 in the first place is 0.2 in base 3.
TEST(TernaryQuants, Tq1DigitsStandFarApart) {
  std::vector<uint8_t> block(Tq1_0::kBytes, 0);
  store_half(block.data() + 52, 1.0f);
  block[0] = 171;   // 2/3 of 256, upwards: digits 2 0 0 0 0
  block[32] = 57;   // 2/9: 0 2 0 0 0
  block[51] = 255;  // 2 2 2 2 2
  const std::vector<float> values = decode<Tq1_0>(block);
  for (size_t i = 0; i < values.size(); ++i) {
    const bool high = i == 0 || i == 160 + 16 || i == 243 || i == 247 || i == 251 || i == 255;
    EXPECT_EQ(values[i], high ? 1.0f : -1.0f) << i;
  }
}

TEST(TernaryQuants, BitsOfTq2AndQ2StandAtTheirPlaces) {
  std::vector<uint8_t> tq2(Tq2_0::kBytes, 0x55);  // all bits 01: zero
  store_half(tq2.data() + 64, 2.0f);
  tq2[33] = 0b11'00'01'10;
  std::vector<float> values = decode<Tq2_0>(tq2);
  EXPECT_EQ(values[128 + 1], 2.0f);
  EXPECT_EQ(values[128 + 33], 0.0f);
  EXPECT_EQ(values[128 + 65], -2.0f);
  EXPECT_EQ(values[128 + 97], 4.0f);

  std::vector<uint8_t> q2(Q2_0::kBytes, 0x55);
  store_half(q2.data(), 2.0f);
  q2[3] = 0b11'00'01'10;
  values = decode<Q2_0>(q2);
  EXPECT_EQ(std::vector<float>(values.begin() + 3, values.begin() + 9),
            (std::vector<float>{0.0f, 2.0f, 0.0f, -2.0f, 4.0f, 0.0f}));

  std::vector<uint8_t> q1(Q1_0::kBytes, 0);
  store_half(q1.data(), 2.0f);
  q1[3] = 0x04;
  values = decode<Q1_0>(q1);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i == 10 ? 2.0f : -2.0f) << i;
}

// The scale of Q1_0 is the mean magnitude, that of the others the largest.
TEST(TernaryQuants, ScalesAreMeanOrLargest) {
  std::vector<float> values(256, 0.25f);
  values[0] = -1.25f;
  const float mean = 0.25f + 1.0f / 128.0f;
  EXPECT_EQ(load_half(encode<Q1_0>(values).data()), mean);
  EXPECT_EQ(load_half(encode<Q2_0>(values).data()), 1.25f);
  EXPECT_EQ(load_half(encode<Tq1_0>(values).data() + 52), 1.25f);
  EXPECT_EQ(load_half(encode<Tq2_0>(values).data() + 64), 1.25f);
}

TEST(TernaryQuants, NotANumberCountsAsZero) {
  std::vector<float> values(256, 1.0f);
  values[9] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(decode<Tq1_0>(encode<Tq1_0>(values))[9], 0.0f);
  EXPECT_EQ(decode<Tq2_0>(encode<Tq2_0>(values))[9], 0.0f);
  EXPECT_EQ(decode<Q2_0>(encode<Q2_0>(values))[9], 0.0f);
  EXPECT_EQ(decode<Q2_0>(encode<Q2_0>(values))[8], 1.0f);
}

}  // namespace
}  // namespace ponder
