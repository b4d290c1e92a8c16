#include "ops/panels_fp8.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "ops/testing.h"
#include "quant/f8.h"

namespace ponder {
namespace {

constexpr int64_t kRows = 150, kCols = 272, kBlocks = 3;  // blocks cut by both edges

struct Matrix {
  Matrix() : codes(kRows * kCols), panels(panel_count(kRows) * fp8_panel_bytes(kCols)) {
    for (size_t i = 0; i < codes.size(); ++i) {
      codes[i] = static_cast<uint8_t>(i * 37);
      if ((codes[i] & 0x7f) == 0x7f) codes[i] = 0x80;  // every code but NaN
    }
  }
  bool to_panels(int64_t begin, int64_t end) {
    return fp8_to_panels(codes.data(), scales.data(), begin, end, kCols, panels.data());
  }
  std::vector<uint8_t> codes;
  std::vector<float> scales = {0.01f, 1.7f, -3.3f, 2.1e-5f, 6e35f, 1e-40f};
  std::vector<std::byte> panels;
};

TEST(PanelsFp8, DecodeCodeTimesScale) {
  Matrix m;
  const int64_t bytes = fp8_panel_bytes(kCols);
  EXPECT_EQ(bytes, 64 + kCols * 16);
  EXPECT_TRUE(m.to_panels(0, 64));
  EXPECT_TRUE(m.to_panels(64, kRows));
  for (const Kernels* t : available_kernels()) {
    for (const auto& [first, count] :
         {std::pair<int64_t, int64_t>{0, kCols}, {96, 64}, {256, 16}}) {
      std::vector<float> got(static_cast<size_t>(count * 16));
      for (int64_t r = 0; r < 160; ++r) {
        t->decode_coded(fp8_panels(m.panels.data(), kCols), r / 16, first, count, got.data());
        for (int64_t c = 0; c < count; ++c) {
          const int64_t col = first + c;
          const float scale = m.scales[static_cast<size_t>(r / 128 * kBlocks + col / 128)];
          const uint8_t code =
              r < kRows ? m.codes[static_cast<size_t>(r * kCols + col)] : uint8_t{0};
          const float want = f8_e4m3_to_f32(code) * scale,
                      value = got[static_cast<size_t>(c * 16 + r % 16)];
          ASSERT_EQ(std::memcmp(&value, &want, 4), 0)
              << t->isa << " " << r << " " << col << ": " << value << " " << want;
        }
      }
    }
  }
}

TEST(PanelsFp8, SayWhatTheyCannotHold) {
  Matrix nan;
  nan.codes[kRows * kCols - 1] = 0xff;
  EXPECT_TRUE(nan.to_panels(0, 144));
  EXPECT_FALSE(nan.to_panels(144, kRows));
  Matrix large;
  large.scales[5] = -0x1p119f;
  EXPECT_TRUE(large.to_panels(0, 128));
  EXPECT_FALSE(large.to_panels(128, kRows));
}

}  // namespace
}  // namespace ponder
