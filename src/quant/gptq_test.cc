#include "quant/gptq.h"

#include <gtest/gtest.h>

#include <cstring>

namespace ponder {
namespace {

// Codes 0, 1, 2, ... (modulo 2^bits) down the inputs of output 0, other ones for output 1, packed bit by
// bit: an oracle that knows nothing of words.
class Gptq : public testing::TestWithParam<int> {};

TEST_P(Gptq, UnpacksAcrossWords) {
  const int bits = GetParam();
  constexpr int64_t kRows = 3, kCols = 64;
  const auto code = [&](int64_t row, int64_t col) {
    return static_cast<uint8_t>((col * 7 + row * 5 + col / 9) & ((1 << bits) - 1));
  };
  std::vector<uint32_t> words(static_cast<size_t>(kCols * bits / 32 * kRows), 0u);
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t bit = 0; bit < kCols * bits; ++bit) {
      const uint32_t value = (code(r, bit / bits) >> (bit % bits)) & 1u;
      words[static_cast<size_t>(bit / 32 * kRows + r)] |= value << (bit % 32);
    }
  }
  GptqMatrix m;
  m.bits = bits;
  m.rows = kRows;
  m.cols = kCols;
  m.group = 32;
  m.groups = 2;
  m.words = reinterpret_cast<const std::byte*>(words.data());
  m.scales = {0.5f, 2.0f, 1.0f, -0.25f, 3.0f, 1.5f};
  m.zeros = {1, 0, 3, 2, 1, 0};
  m.group_of.resize(kCols);
  for (int64_t i = 0; i < kCols; ++i) m.group_of[static_cast<size_t>(i)] = i % 2 == 0 ? 0 : 1;
  std::vector<uint8_t> out(32 * 2);
  m.unpack(1, 1, 2, out.data());
  for (int64_t c = 0; c < 32; ++c) {
    EXPECT_EQ(out[static_cast<size_t>(c * 2)], code(1, 32 + c));
    EXPECT_EQ(out[static_cast<size_t>(c * 2 + 1)], code(2, 32 + c));
  }
  std::vector<float> rows(static_cast<size_t>(2 * kCols));
  m.dequantize(1, 3, rows.data());
  for (int64_t r = 1; r < 3; ++r) {
    for (int64_t c = 0; c < kCols; ++c) {
      const auto at = static_cast<size_t>(c % 2 * kRows + r);
      EXPECT_EQ(rows[static_cast<size_t>((r - 1) * kCols + c)],
                m.scales[at] * static_cast<float>(code(r, c) - m.zeros[at]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, Gptq, testing::Values(2, 3, 4, 8));

}  // namespace
}  // namespace ponder
