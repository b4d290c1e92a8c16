#include "quant/legacy_quants.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "quant/block.h"

namespace ponder {
namespace {

template <typename B>
std::vector<float> decoded(const std::vector<uint8_t>& block) {
  EXPECT_EQ(block.size(), static_cast<size_t>(B::kBytes));
  std::vector<float> out(B::kValues);
  decode_blocks<B>(block.data(), out.data(), B::kValues);
  return out;
}

// d = 2 (0x4000), m = -1 (0xbc00), weights 0, 1 and 16 given, the rest code 0.
TEST(LegacyQuants, Layout) {
  std::vector<uint8_t> q4_0 = {0x00, 0x40, 0xf1, 0x09};
  q4_0.resize(18);
  const std::vector<float> a = decoded<Q4_0>(q4_0);
  EXPECT_EQ(a[0], 2.0f * (1 - 8));
  EXPECT_EQ(a[1], 2.0f * (9 - 8));
  EXPECT_EQ(a[16], 2.0f * (15 - 8));
  EXPECT_EQ(a[31], 2.0f * -8);

  std::vector<uint8_t> q4_1 = {0x00, 0x40, 0x00, 0xbc, 0xf1, 0x09};
  q4_1.resize(20);
  const std::vector<float> b = decoded<Q4_1>(q4_1);
  EXPECT_EQ(b[0], 2.0f * 1 - 1);
  EXPECT_EQ(b[1], 2.0f * 9 - 1);
  EXPECT_EQ(b[16], 2.0f * 15 - 1);
  EXPECT_EQ(b[31], -1.0f);

  std::vector<uint8_t> q5_0 = {0x00, 0x40, 0x01, 0x00, 0x01, 0x80, 0xf1, 0x09};
  q5_0.resize(22);
  const std::vector<float> c = decoded<Q5_0>(q5_0);
  EXPECT_EQ(c[0], 2.0f * (17 - 16));
  EXPECT_EQ(c[1], 2.0f * (9 - 16));
  EXPECT_EQ(c[16], 2.0f * (31 - 16));
  EXPECT_EQ(c[31], 2.0f * (16 - 16));

  std::vector<uint8_t> q5_1 = {0x00, 0x40, 0x00, 0xbc, 0x01, 0x00, 0x01, 0x80, 0xf1, 0x09};
  q5_1.resize(24);
  const std::vector<float> d = decoded<Q5_1>(q5_1);
  EXPECT_EQ(d[0], 2.0f * 17 - 1);
  EXPECT_EQ(d[1], 2.0f * 9 - 1);
  EXPECT_EQ(d[16], 2.0f * 31 - 1);
  EXPECT_EQ(d[31], 2.0f * 16 - 1);
}

// The scale's sign gives the largest magnitude the code with one more step.
TEST(LegacyQuants, LargestMagnitudeIsExact) {
  std::vector<float> x(32, 0.25f), back(32);
  for (const float largest : {4.0f, -4.0f}) {
    x[7] = largest;
    uint8_t block[22];
    Q4_0::encode(x.data(), nullptr, block, 32);
    EXPECT_EQ(load_half(block), largest / -8.0f);
    decode_blocks<Q4_0>(block, back.data(), 32);
    EXPECT_EQ(back[7], largest);
    Q5_0::encode(x.data(), nullptr, block, 32);
    EXPECT_EQ(load_half(block), largest / -16.0f);
    decode_blocks<Q5_0>(block, back.data(), 32);
    EXPECT_EQ(back[7], largest);
    EXPECT_EQ(back[8], 0.25f);
  }
}

// A column that alone matters is reproduced better than without importance.
TEST(LegacyQuants, ImportanceMovesTheScale) {
  std::vector<float> x(32), importance(32, 1e-3f), back(32);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i) * 1.7f);
  importance[5] = 1e3f;
  const auto error = [&](auto format, const float* weights) {
    using B = decltype(format);
    uint8_t block[B::kBytes];
    B::encode(x.data(), weights, block, 32);
    decode_blocks<B>(block, back.data(), 32);
    return std::fabs(back[5] - x[5]);
  };
  EXPECT_LT(error(Q4_0{}, importance.data()), 0.5f * error(Q4_0{}, nullptr));
  EXPECT_LT(error(Q4_1{}, importance.data()), 0.5f * error(Q4_1{}, nullptr));
}

}  // namespace
}  // namespace ponder
