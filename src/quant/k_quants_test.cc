#include "quant/k_quants.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "quant/block.h"

namespace ponder {
namespace {

struct Unpacked {
  std::vector<int8_t> codes;
  std::vector<float> scales, offsets;
};

template <typename B>
Unpacked unpacked(const std::vector<uint8_t>& block) {
  Unpacked out{std::vector<int8_t>(256), std::vector<float>(256 / B::kStep),
               std::vector<float>(256 / B::kStep)};
  B::unpack(block.data(), out.codes.data(), out.scales.data(), out.offsets.data());
  return out;
}

// A block of zeros with binary16 numbers 2 (0x4000) and, if wanted, 0.5 (0x3800) at `at`.
std::vector<uint8_t> block_with(int64_t bytes, size_t at, bool minimum) {
  std::vector<uint8_t> block(static_cast<size_t>(bytes));
  block[at + 1] = 0x40;
  if (minimum) block[at + 3] = 0x38;
  return block;
}

TEST(KQuants, Q2KLayout) {
  std::vector<uint8_t> block = block_with(Q2_K::kBytes, 80, true);
  block[3] = 0x5a;              // group 3: scale 10, minimum 5
  block[16 + 4] = 0b11100100;   // weights 4, 36, 68, 100
  block[16 + 32] = 0b00000010;  // weight 128
  const Unpacked got = unpacked<Q2_K>(block);
  EXPECT_EQ(got.scales[3], 20.0f);
  EXPECT_EQ(got.offsets[3], -2.5f);
  EXPECT_EQ(got.scales[4], 0.0f);
  EXPECT_EQ(got.codes[4], 0);
  EXPECT_EQ(got.codes[36], 1);
  EXPECT_EQ(got.codes[68], 2);
  EXPECT_EQ(got.codes[100], 3);
  EXPECT_EQ(got.codes[128], 2);
}

TEST(KQuants, Q3KLayout) {
  std::vector<uint8_t> block = block_with(Q3_K::kBytes, 108, false);
  block[5] = 0b10000001;           // third bits of weights 5 and 229
  block[32 + 5] = 0b00001011;      // weights 5 and 37
  block[96 + 1] = 0x7c;            // low bits of the scales of groups 1 and 9
  block[96 + 8 + 1] = 0b00110010;  // high bits of groups 1 and 9
  const Unpacked got = unpacked<Q3_K>(block);
  EXPECT_EQ(got.codes[5], 7 - 4);
  EXPECT_EQ(got.codes[37], 2 - 4);
  EXPECT_EQ(got.codes[229], 4 - 4);
  EXPECT_EQ(got.codes[6], -4);
  EXPECT_EQ(got.scales[1], 2.0f * (12 + 32 - 32));
  EXPECT_EQ(got.scales[9], 2.0f * (7 + 48 - 32));
  EXPECT_EQ(got.scales[0], 2.0f * -32);
}

// Groups 1 and 5 share the upper bits of bytes 1 (scale) and 5 (minimum).
void set_scales(std::vector<uint8_t>& block) {
  block[4 + 1] = 0b10'010001;  // scale 1 is 17; 2 on top of scale 5
  block[4 + 5] = 0b11'000111;  // minimum 1 is 7; 3 on top of minimum 5
  block[4 + 9] = 0x94;         // low bits: scale 5 has 4, minimum 5 has 9
}
void expect_scales(const Unpacked& got) {
  EXPECT_EQ(got.scales[1], 2.0f * 17);
  EXPECT_EQ(got.offsets[1], -0.5f * 7);
  EXPECT_EQ(got.scales[5], 2.0f * 36);
  EXPECT_EQ(got.offsets[5], -0.5f * 57);
}

TEST(KQuants, Q4KLayout) {
  std::vector<uint8_t> block = block_with(Q4_K::kBytes, 0, true);
  set_scales(block);
  block[16 + 6] = 0xd3;       // weights 6 and 38
  block[16 + 32 + 6] = 0x0e;  // weight 70
  const Unpacked got = unpacked<Q4_K>(block);
  expect_scales(got);
  EXPECT_EQ(got.codes[6], 3);
  EXPECT_EQ(got.codes[38], 13);
  EXPECT_EQ(got.codes[70], 14);
}

TEST(KQuants, Q5KLayout) {
  std::vector<uint8_t> block = block_with(Q5_K::kBytes, 0, true);
  set_scales(block);
  block[16 + 6] = 0b00000110;  // fifth bits of weights 38 and 70
  block[48 + 6] = 0xd3;
  block[48 + 32 + 6] = 0x0e;
  const Unpacked got = unpacked<Q5_K>(block);
  expect_scales(got);
  EXPECT_EQ(got.codes[6], 3);
  EXPECT_EQ(got.codes[38], 29);
  EXPECT_EQ(got.codes[70], 30);
}

TEST(KQuants, Q6KLayout) {
  std::vector<uint8_t> block = block_with(Q6_K::kBytes, 208, false);
  block[9] = 0xa5;              // weights 9 and 73
  block[32 + 9] = 0xc1;         // weights 41 and 105
  block[128 + 9] = 0b00011110;  // upper bits 2, 3, 1, 0 of weights 9, 41, 73, 105
  block[64 + 9] = 0x07;         // weight 137
  block[192 + 15] = 0xfd;       // group 15: -3
  const Unpacked got = unpacked<Q6_K>(block);
  EXPECT_EQ(got.codes[9], 37 - 32);
  EXPECT_EQ(got.codes[41], 49 - 32);
  EXPECT_EQ(got.codes[73], 26 - 32);
  EXPECT_EQ(got.codes[105], 12 - 32);
  EXPECT_EQ(got.codes[137], 7 - 32);
  EXPECT_EQ(got.scales[15], -6.0f);
}

// Numbers that a format can hold exactly come back exactly: all its bit fields are packed right.
template <typename B>
void expect_exact(int low, int high) {
  std::vector<float> x(256), back(256);
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t group = i / static_cast<size_t>(B::kStep), j = i % static_cast<size_t>(B::kStep);
    // Each group holds both ends of the codes, and a scale of its own.
    const int span = high - low + 1;
    const int code = j < 2 ? (j == 0 ? low : high) : low + static_cast<int>((i * 7) % 64) % span;
    x[i] = 0x1p-6f * static_cast<float>(group % 4 + 1) * static_cast<float>(code);
  }
  std::vector<uint8_t> block(static_cast<size_t>(B::kBytes));
  B::encode(x.data(), nullptr, block.data(), 256);
  decode_blocks<B>(block.data(), back.data(), 256);
  double error = 0.0, total = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += std::pow(double{back[i]} - double{x[i]}, 2);
    total += std::pow(double{x[i]}, 2);
  }
  // What is left is the rounding of the groups' scales to 4 bits (Q2_K) or 6 and more.
  EXPECT_LT(std::sqrt(error / total), B::kBytes == Q2_K::kBytes ? 0.04 : 0.02);
}

TEST(KQuants, CodesComeBackFromTheirOwnGrid) {
  expect_exact<Q2_K>(0, 3);
  expect_exact<Q3_K>(-4, 3);
  expect_exact<Q4_K>(0, 15);
  expect_exact<Q5_K>(0, 31);
  expect_exact<Q6_K>(-32, 31);
}

}  // namespace
}  // namespace ponder
