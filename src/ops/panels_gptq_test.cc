#include "ops/panels_gptq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

namespace ponder {
namespace {

struct Made {
  std::vector<uint32_t> words;
  GptqMatrix matrix;
};

// Random words are valid codes. Groups of 64 with a last one of 32; shuffled if `act_order`.
Made make(int bits, int64_t rows, bool act_order) {
  constexpr int64_t kCols = 224;
  std::mt19937 random(static_cast<unsigned>(bits) * 2 + act_order);
  Made made;
  GptqMatrix& m = made.matrix;
  m.bits = bits;
  m.rows = rows;
  m.cols = kCols;
  m.group = 64;
  m.groups = 4;
  made.words.resize(static_cast<size_t>(kCols * bits / 32 * rows));
  for (uint32_t& word : made.words) word = static_cast<uint32_t>(random());
  m.words = reinterpret_cast<const std::byte*>(made.words.data());
  for (int64_t i = 0; i < m.groups * rows; ++i) {
    m.scales.push_back(static_cast<float>(random() % 1000) / 1024.0f - 0.4f);
    m.zeros.push_back(static_cast<uint8_t>(random() & ((1u << bits) - 1u)));
  }
  for (int64_t i = 0; i < kCols; ++i) m.group_of.push_back(static_cast<int32_t>(i / m.group));
  if (act_order) std::ranges::shuffle(m.group_of, random);
  return made;
}

class PanelsGptq : public testing::TestWithParam<int> {};

// Panels hold the floats of dequantize(), in the order that goes with them, whatever range is decoded.
TEST_P(PanelsGptq, DecodeAsTheMatrixDoes) {
  const int bits = GetParam();
  for (const bool act_order : {false, true}) {
    constexpr int64_t kRows = 40;  // two panels and a half
    const Made made = make(bits, kRows, act_order);
    const GptqMatrix& m = made.matrix;
    const std::vector<int32_t> order = gptq_order(m);
    EXPECT_EQ(order.empty(), !act_order);
    const int64_t bytes = gptq_panel_bytes(bits, m.cols, m.group);
    std::vector<std::byte> panels(static_cast<size_t>(3 * bytes), std::byte{0xff});
    gptq_to_panels(m, order, 0, 16, panels.data());
    gptq_to_panels(m, order, 16, kRows, panels.data());
    std::vector<float> want(static_cast<size_t>(kRows * m.cols));
    m.dequantize(0, kRows, want.data());
    for (int64_t first = 0; first < m.cols; first += 32) {
      for (const int64_t count : {int64_t{32}, m.cols - first}) {
        std::vector<float> got(static_cast<size_t>(count * 16));
        for (int64_t r = 0; r < 48; ++r) {
          decode_gptq_panel(panels.data() + r / 16 * bytes, bits, m.group, first, count,
                            got.data());
          for (int64_t c = 0; c < count; ++c) {
            const int64_t col = order.empty() ? first + c : order[static_cast<size_t>(first + c)];
            const float expected = r < kRows ? want[static_cast<size_t>(r * m.cols + col)] : 0.0f;
            ASSERT_EQ(got[static_cast<size_t>(c * 16 + r % 16)], expected) << r << " " << col;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, PanelsGptq, testing::Values(2, 3, 4, 8));

TEST(PanelsGptq, AreAboutAsLargeAsTheFile) {
  // 4 bits in groups of 128: codes, a float32 scale and a byte.
  EXPECT_EQ(gptq_panel_bytes(4, 4096, 128), 16 * (4096 / 2 + 4096 / 128 * 5));
  EXPECT_EQ(gptq_panel_bytes(2, 64, 64), 16 * (64 / 4 + 5));
  EXPECT_EQ(gptq_panel_bytes(8, 96, 64), 16 * (96 + 2 * 5));
}

}  // namespace
}  // namespace ponder
