#include "ops/panels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "ops/testing.h"
#include "quant/format.h"

namespace ponder {
namespace {

std::vector<DType> packed_types() {
  std::vector<DType> out;
  for (const Format& format : formats()) {
    if (packs(format.dtype)) out.push_back(format.dtype);
  }
  return out;
}

// Rows of any bytes: what is packed must come back, whatever it is.
std::vector<std::byte> make_rows(DType dtype, int64_t rows, int64_t cols) {
  testing::Uniform uniform(static_cast<uint64_t>(rows));
  std::vector<std::byte> out(*bytes_for(dtype, rows * cols));
  for (std::byte& b : out) b = static_cast<std::byte>(uniform.bits() >> 8);
  return out;
}

TEST(Panels, OnePanelAtATimeOrAllAtOnce) {
  for (DType dtype : packed_types()) {
    for (int64_t rows : {1, 15, 16, 17, 48, 83}) {
      constexpr int64_t kCols = 512;
      const auto file = make_rows(dtype, rows, kCols);
      const size_t row_bytes = file.size() / static_cast<size_t>(rows);
      const auto size = static_cast<size_t>(weight_bytes(dtype, rows, kCols));
      std::vector<std::byte> whole(size, std::byte{0xaa}), parts(size, std::byte{0x55});
      rows_to_panels(dtype, file.data(), 0, rows, kCols, whole.data());
      for (int64_t r = 0; r < rows; r += 16) {
        rows_to_panels(dtype, file.data() + static_cast<size_t>(r) * row_bytes, r,
                       std::min(rows, r + 16), kCols, parts.data());
      }
      EXPECT_EQ(whole, parts) << format_of(dtype).name << " " << rows << ": every byte is set";

      const Weight w{whole.data(), nullptr, rows, kCols, dtype, Layout::kPanels};
      std::vector<std::byte> back(row_bytes);
      std::vector<float> row(kCols), decoded(kCols);
      for (int64_t r = 0; r < rows; ++r) {
        panels_to_rows(w, r, r + 1, back.data());
        EXPECT_TRUE(std::equal(back.begin(), back.end(),
                               file.begin() + r * static_cast<int64_t>(row_bytes)))
            << format_of(dtype).name << " row " << r;
        if (format_of(dtype).decode == nullptr) continue;
        panel_row(w, r, row.data());
        format_of(dtype).decode(back.data(), decoded.data(), kCols);
        testing::expect_same_bits(decoded, row, format_of(dtype).name);
      }
      // Rows beyond the last are zero: seen as a weight that has them.
      const Weight padded{whole.data(), nullptr, panel_count(rows) * 16,
                          kCols,        dtype,   Layout::kPanels};
      for (int64_t r = rows; r < padded.rows; ++r) {
        panels_to_rows(padded, r, r + 1, back.data());
        EXPECT_EQ(back, std::vector<std::byte>(row_bytes)) << format_of(dtype).name << " row " << r;
      }
    }
  }
}

TEST(Panels, SizesOfAPanel) {
  EXPECT_EQ(panel_bytes(DType::kF32, 5), 16 * 5 * 4);
  EXPECT_EQ(panel_bytes(DType::kBF16, 5), 16 * 5 * 2);
  EXPECT_EQ(panel_bytes(DType::kQ8_0, 64), 16 * 2 * 34);
  EXPECT_EQ(panel_bytes(DType::kQ4_K, 512), 16 * 2 * 144);
  EXPECT_EQ(weight_bytes(DType::kF16, 17, 3), 2 * 16 * 3 * 2);
  EXPECT_EQ(weight_bytes(DType::kF16, 0, 3), 0);
}

}  // namespace
}  // namespace ponder
