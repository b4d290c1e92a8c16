#include "ops/panels_fp8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "quant/f8.h"

namespace ponder {
namespace {

// Every code, blocks cut by both edges, any range of inputs.
TEST(PanelsFp8, DecodeCodeTimesScale) {
  constexpr int64_t kRows = 150, kCols = 272, kBlocks = 3;
  std::vector<uint8_t> codes(kRows * kCols);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i * 37);
  const std::vector<float> scales = {0.01f, 1.7f, -3.3f, 2.1e-5f, 1.0f, 0.3f};
  const int64_t bytes = fp8_panel_bytes(kCols);
  EXPECT_EQ(bytes, 64 + kCols * 16);
  std::vector<std::byte> panels(static_cast<size_t>(bytes * panel_count(kRows)));
  fp8_to_panels(codes.data(), scales.data(), 0, 64, kCols, panels.data());
  fp8_to_panels(codes.data(), scales.data(), 64, kRows, kCols, panels.data());
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, kCols}, {100, 60}, {256, 16}}) {
    std::vector<float> got(static_cast<size_t>(count * 16));
    for (int64_t r = 0; r < 160; ++r) {
      decode_fp8_panel(panels.data() + r / 16 * bytes, kCols, first, count, got.data());
      for (int64_t c = 0; c < count; ++c) {
        const int64_t col = first + c;
        const float scale = scales[static_cast<size_t>(r / 128 * kBlocks + col / 128)];
        const uint8_t code = r < kRows ? codes[static_cast<size_t>(r * kCols + col)] : uint8_t{0};
        const float want = f8_e4m3_to_f32(code) * scale,
                    value = got[static_cast<size_t>(c * 16 + r % 16)];
        if (std::isnan(want)) {
          ASSERT_TRUE(std::isnan(value));
        } else {
          ASSERT_EQ(std::memcmp(&value, &want, 4), 0)
              << r << " " << col << ": " << value << " " << want;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ponder
