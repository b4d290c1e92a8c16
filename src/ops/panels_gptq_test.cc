#include "ops/panels_gptq.h"

#include <gtest/gtest.h>

#include "ops/test_coded.h"

namespace ponder {
namespace {

// 4 bits in groups of 128: codes, a scale and a byte. The file has half a byte for the zero point.
TEST(PanelsGptq, AreAboutAsLargeAsTheFile) {
  const auto bytes = [](int bits, int64_t cols, int64_t group, bool half) {
    return gptq_panel_bytes(bits, cols, {group, (cols + group - 1) / group, nullptr, half});
  };
  EXPECT_EQ(bytes(4, 4096, 128, true), 16 * (4096 / 2 + 4096 / 128 * 3));
  EXPECT_EQ(bytes(3, 256, 128, true), 16 * (256 * 3 / 8 + 2 * 3));
  EXPECT_EQ(bytes(2, 64, 64, false), 16 * (64 / 4 + 5));
  EXPECT_EQ(bytes(8, 96, 64, true), 16 * (96 + 2 * 3));
}

TEST(PanelsGptq, ScalesThatAreNoHalvesStayFloats) {
  EXPECT_TRUE(input_groups(testing::make_gptq(4, 32, 64, false, false).matrix).half_scales);
  EXPECT_FALSE(input_groups(testing::make_gptq(4, 32, 64, false, true).matrix).half_scales);
  testing::MadeGptq made = testing::make_gptq(4, 32, 64, false, false);
  made.matrix.scales[5] = 70000.0f;
  EXPECT_FALSE(input_groups(made.matrix).half_scales);
}

TEST(PanelsGptq, OnlyInputsOutOfOrderNeedATable) {
  const testing::MadeGptq plain = testing::make_gptq(4, 32, 224, false, false),
                          shuffled = testing::make_gptq(4, 32, 224, true, false);
  EXPECT_EQ(input_groups(plain.matrix).of_input, nullptr);
  EXPECT_EQ(input_groups(shuffled.matrix).of_input, shuffled.matrix.group_of.data());
}

TEST(PanelsGptq, TypesAndBits) {
  for (int bits : {2, 3, 4, 8}) EXPECT_EQ(gptq_bits(gptq_dtype(bits)), bits);
  EXPECT_EQ(gptq_bits(DType::kQ4_0), 0);
}

// Rows, single rows and any stretch of a panel are the numbers of the matrix, on every instruction
// set. 40 rows: two panels and a half; 224 inputs: a last group of 32.
TEST(PanelsCoded, DecodeAsTheMatrixDoes) {
  constexpr int64_t kRows = 40, kCols = 224;
  testing::for_each_coded(kRows, kCols, [&](const testing::Coded& w) {
    EXPECT_TRUE(is_coded(w.weight));
    EXPECT_EQ(row_dtype(w.weight), DType::kF32);
    for (const Kernels* t : available_kernels()) {
      const testing::WithKernels scope(*t);
      const std::string name = w.name + " " + t->isa;
      std::vector<float> rows(w.values.size()), row(kCols), some(3 * kCols);
      panels_to_rows(w.weight, 0, kRows, rows.data());
      testing::expect_same_bits(w.values, rows, name + " rows");
      panels_to_rows(w.weight, 15, 18, some.data());
      testing::expect_same_bits({w.values.data() + 15 * kCols, 3 * kCols}, some, name + " some");
      panel_row(w.weight, 39, row.data());
      testing::expect_same_bits({w.values.data() + 39 * kCols, kCols}, row, name + " row");
      for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 32}, {96, 64}, {160, 64}}) {
        std::vector<float> got(static_cast<size_t>(count * 16));
        for (int64_t r = 0; r < 48; ++r) {
          t->decode_coded(coded_panels(w.weight), r / 16, first, count, got.data());
          for (int64_t c = 0; c < count; ++c) {
            const float want =
                r < kRows ? w.values[static_cast<size_t>(r * kCols + first + c)] : 0.0f;
            ASSERT_EQ(got[static_cast<size_t>(c * 16 + r % 16)], want) << name << r << " " << c;
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace ponder
