#include "quant/iq_quants.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "quant/block.h"
#include "quant/iq_grids.h"

namespace ponder {
namespace {

template <typename B>
std::vector<float> decode(const std::vector<uint8_t>& bytes) {
  std::vector<float> values(bytes.size() / B::kBytes * B::kValues);
  decode_blocks<B>(bytes.data(), values.data(), static_cast<int64_t>(values.size()));
  return values;
}

template <typename B>
std::vector<float> round_trip(const std::vector<float>& values, const float* importance) {
  std::vector<uint8_t> bytes(values.size() / B::kValues * B::kBytes);
  B::encode(values.data(), importance, bytes.data(), static_cast<int64_t>(values.size()));
  return decode<B>(bytes);
}

// What eight values from `first` on are: scale * (point's values, with signs).
template <typename Point>
void expect_point(const std::vector<float>& values, size_t first, float scale, const Point& point,
                  unsigned signs) {
  for (size_t i = 0; i < point.size(); ++i) {
    const float sign = (signs >> i & 1u) != 0 ? -1.0f : 1.0f;
    EXPECT_EQ(values[first + i], scale * sign * static_cast<float>(point[i])) << first + i;
  }
}

TEST(IqQuants, Iq2XxsLayout) {
  std::vector<uint8_t> block(Iq2Xxs::kBytes, 0);
  store_half(block.data(), 2.0f);
  uint8_t* group = block.data() + 2 + 8 * 3;  // values 96 to 127
  group[2] = 200;
  store<uint32_t>(group + 4, 5u << 28 | 3u << 14);  // s = 5; signs of the third eight: 1100000 0
  const std::vector<float> values = decode<Iq2Xxs>(block);
  expect_point(values, 0, 2.0f * 0.5f / 4.0f, kIq2XxsValues[0], 0);
  expect_point(values, 112, 2.0f * 5.5f / 4.0f, kIq2XxsValues[200], 3);
}

TEST(IqQuants, Iq2XsLayout) {
  std::vector<uint8_t> block(Iq2Xs::kBytes, 0);
  store_half(block.data(), 2.0f);
  store<uint16_t>(block.data() + 2 + 2 * 6, 500 | 7u << 9);  // values 48 to 55; an odd 7: 8 bits
  block[66 + 1] = 0x90;                                      // of values 48 to 63: s = 9
  const std::vector<float> values = decode<Iq2Xs>(block);
  expect_point(values, 40, 2.0f * 0.5f / 4.0f, kIq2XsValues[0], 0);
  expect_point(values, 48, 2.0f * 9.5f / 4.0f, kIq2XsValues[500], 0x87);
}

TEST(IqQuants, Iq2SLayout) {
  std::vector<uint8_t> block(Iq2S::kBytes, 0);
  store_half(block.data(), 2.0f);
  block[2 + 13] = 0x34;      // values 104 to 111, low byte
  block[34 + 13] = 0x81;     // signs
  block[66 + 3] = 3u << 2;   // bits 8 and 9
  block[74 + 6 / 2] = 0x0f;  // of values 96 to 111
  const std::vector<float> values = decode<Iq2S>(block);
  expect_point(values, 104, 2.0f * 15.5f / 4.0f, kIq2SValues[0x334], 0x81);
  expect_point(values, 112, 2.0f * 0.5f / 4.0f, kIq2SValues[0], 0);
}

TEST(IqQuants, Iq3XxsLayout) {
  std::vector<uint8_t> block(Iq3Xxs::kBytes, 0);
  store_half(block.data(), 2.0f);
  block[2 + 8 * 2 + 3] = 77;  // values 76 to 79
  store<uint32_t>(block.data() + 66 + 4 * 2, 4u << 28 | 0x50u << 7);
  const std::vector<float> values = decode<Iq3Xxs>(block);
  expect_point(values, 72, 2.0f * 4.5f / 2.0f, kIq3XxsValues[0], 0);
  expect_point(values, 76, 2.0f * 4.5f / 2.0f, kIq3XxsValues[77], 0x5);
  expect_point(values, 96, 2.0f * 0.5f / 2.0f, kIq3XxsValues[0], 0);
}

TEST(IqQuants, Iq3SLayout) {
  std::vector<uint8_t> block(Iq3S::kBytes, 0);
  store_half(block.data(), 2.0f);
  block[2 + 8 * 5 + 6] = 0x21;   // values 184 to 187, low byte
  block[66 + 5] = 1u << 6;       // bit 8
  block[74 + 4 * 5 + 3] = 0xfa;  // signs of 184 to 191
  block[106 + 2] = 0xe0;         // of values 160 to 191
  const std::vector<float> values = decode<Iq3S>(block);
  expect_point(values, 184, 2.0f * 29.0f, kIq3SValues[0x121], 0xa);
  expect_point(values, 188, 2.0f * 29.0f, kIq3SValues[0], 0xf);
  expect_point(values, 156, 2.0f * 1.0f, kIq3SValues[0], 0);
}

TEST(IqQuants, Iq1SLayout) {
  std::vector<uint8_t> block(Iq1S::kBytes, 0);
  store_half(block.data(), 2.0f);
  block[2 + 4 * 6 + 1] = 0x45;  // values 200 to 207
  store<uint16_t>(block.data() + 34 + 2 * 6, 0x8000u | 3u << 12 | 5u << 3);
  const std::vector<float> values = decode<Iq1S>(block);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(values[200 + i], 2.0f * 7.0f * (static_cast<float>(kIq1Values[0x545][i]) - 0.125f));
    EXPECT_EQ(values[i], 2.0f * (static_cast<float>(kIq1Values[0][i]) + 0.125f));
  }
}

TEST(IqQuants, Iq1MLayout) {
  std::vector<uint8_t> block(Iq1M::kBytes, 0);
  const uint16_t words[] = {0x0000, 0x0000 | 6u << 9, 0x0000, 0x4000};  // d = 0x4000 = 2
  for (size_t w = 0; w < 4; ++w) store(block.data() + 48 + 2 * w, words[w]);
  block[14] = 0x12;      // values 112 to 119
  block[32 + 7] = 0x7d;  // theirs: shift negative, bits 5; the next eight: positive, 7
  const std::vector<float> values = decode<Iq1M>(block);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(values[112 + i], 2.0f * 13.0f * (static_cast<float>(kIq1Values[0x512][i]) - 0.125f));
    EXPECT_EQ(values[120 + i], 2.0f * 13.0f * (static_cast<float>(kIq1Values[0x700][i]) + 0.125f));
  }
}

TEST(IqQuants, Iq4Layouts) {
  std::vector<uint8_t> block(Iq4Nl::kBytes, 0);
  store_half(block.data(), 0.5f);
  block[2 + 3] = 0xf8;
  std::vector<float> values = decode<Iq4Nl>(block);
  EXPECT_EQ(values[3], 0.5f);
  EXPECT_EQ(values[19], 56.5f);
  EXPECT_EQ(values[4], -63.5f);

  block.assign(Iq4Xs::kBytes, 0);
  store_half(block.data(), 0.5f);
  store<uint16_t>(block.data() + 2, 3u << 10);  // of values 160 to 191: upper bits 3
  block[4 + 2] = 0x50;                          // lower bits 5: s = 53
  block[8 + 16 * 5] = 0x0f;
  values = decode<Iq4Xs>(block);
  EXPECT_EQ(values[160], 0.5f * 21.0f * 113.0f);
  EXPECT_EQ(values[176], 0.5f * 21.0f * -127.0f);
  EXPECT_EQ(values[0], 0.5f * -32.0f * -127.0f);
}

// Sum of four uniform values: near enough to weights.
std::vector<float> bell_shaped(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(n);
  for (float& value : values) {
    value = 0.0f;
    for (int k = 0; k < 4; ++k) value += static_cast<float>(random() >> 8) * 0x1p-24f - 0.5f;
  }
  return values;
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b, size_t first,
                     size_t step) {
  double sum = 0.0;
  for (size_t i = first; i < a.size(); i += step) {
    sum += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
  }
  return sum;
}

// Columns of large importance come out better than without it, the others pay.
template <typename B>
void expect_importance_counts(const char* name) {
  const std::vector<float> values = bell_shaped(4096, 11);
  std::vector<float> importance(values.size(), 1.0f);
  for (size_t i = 0; i < importance.size(); i += 4) importance[i] = 30.0f;
  const std::vector<float> with = round_trip<B>(values, importance.data());
  const std::vector<float> without = round_trip<B>(values, nullptr);
  EXPECT_LT(squared_error(with, values, 0, 4), 0.9 * squared_error(without, values, 0, 4)) << name;
  EXPECT_GT(squared_error(with, values, 1, 4), squared_error(without, values, 1, 4)) << name;
}

TEST(IqQuants, ImportanceMovesErrorsAway) {
  expect_importance_counts<Iq1S>("iq1_s");
  expect_importance_counts<Iq1M>("iq1_m");
  expect_importance_counts<Iq2Xxs>("iq2_xxs");
  expect_importance_counts<Iq2Xs>("iq2_xs");
  expect_importance_counts<Iq2S>("iq2_s");
  expect_importance_counts<Iq3Xxs>("iq3_xxs");
  expect_importance_counts<Iq3S>("iq3_s");
  expect_importance_counts<Iq4Nl>("iq4_nl");
  expect_importance_counts<Iq4Xs>("iq4_xs");
}

// Relative root mean square errors on bell-shaped values: what the number of bits is good for, with
// a tenth to spare over what the encoders reach.
TEST(IqQuants, ErrorsFallWithBits) {
  const std::vector<float> values = bell_shaped(8192, 12);
  const double norm = std::sqrt(squared_error(values, std::vector<float>(values.size()), 0, 1));
  const auto relative = [&](const std::vector<float>& got) {
    return std::sqrt(squared_error(got, values, 0, 1)) / norm;
  };
  EXPECT_LT(relative(round_trip<Iq1S>(values, nullptr)), 0.49);
  EXPECT_LT(relative(round_trip<Iq1M>(values, nullptr)), 0.46);
  EXPECT_LT(relative(round_trip<Iq2Xxs>(values, nullptr)), 0.37);
  EXPECT_LT(relative(round_trip<Iq2Xs>(values, nullptr)), 0.32);
  EXPECT_LT(relative(round_trip<Iq2S>(values, nullptr)), 0.27);
  EXPECT_LT(relative(round_trip<Iq3Xxs>(values, nullptr)), 0.20);
  EXPECT_LT(relative(round_trip<Iq3S>(values, nullptr)), 0.145);
  EXPECT_LT(relative(round_trip<Iq4Xs>(values, nullptr)), 0.085);
  EXPECT_LT(relative(round_trip<Iq4Nl>(values, nullptr)), 0.085);
}

}  // namespace
}  // namespace ponder
