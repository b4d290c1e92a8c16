#include "io/fp8.h"

#include <gtest/gtest.h>

#include <limits>
#include <span>

#include "quant/f8.h"

namespace ponder {
namespace {

struct Parts {
  std::vector<uint8_t> codes = std::vector<uint8_t>(130 * 129);
  std::vector<float> scales = {1.0f, 0.1f, 0.3f, 7.0f};
  std::vector<int64_t> shape = {130, 129}, scales_shape = {2, 2};
  DType dtype = DType::kF8_E4M3;

  Result<Fp8Matrix> read() const {
    TensorTable table;
    EXPECT_TRUE(table.add({"X.weight", dtype, "u8", shape, std::as_bytes(std::span(codes))}).ok());
    EXPECT_TRUE(table
                    .add({"X.weight_scale_inv", DType::kF32, "f32", scales_shape,
                          std::as_bytes(std::span(scales))})
                    .ok());
    EXPECT_TRUE(has_fp8(table, "X.weight"));
    EXPECT_FALSE(has_fp8(table, "Y.weight"));
    return read_fp8(table, "X.weight");
  }
};

TEST(Fp8, OneScalePerBlockPartialOnesToo) {
  Parts parts;
  for (size_t i = 0; i < parts.codes.size(); ++i) parts.codes[i] = static_cast<uint8_t>(i % 120);
  const auto matrix = parts.read();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  std::vector<float> rows(4 * 129);
  matrix->dequantize(126, 130, rows.data());
  for (size_t r = 126; r < 130; ++r) {
    for (size_t c = 0; c < 129; ++c) {
      const float scale = parts.scales[r / 128 * 2 + c / 128];
      EXPECT_EQ(rows[(r - 126) * 129 + c], f8_e4m3_to_f32(parts.codes[r * 129 + c]) * scale);
    }
  }
}

TEST(Fp8, PartsThatDoNotFitAreRefused) {
  const auto refused = [](const char* part, auto damage) {
    Parts parts;
    damage(parts);
    const auto matrix = parts.read();
    ASSERT_FALSE(matrix.ok());
    EXPECT_NE(matrix.status().message().find(part), std::string::npos) << matrix.status().message();
  };
  refused("X.weight", [](Parts& p) { p.shape = {130 * 129}; });
  refused("X.weight", [](Parts& p) { p.dtype = DType::kU8; });
  refused("X.weight_scale_inv", [](Parts& p) { p.scales_shape = {1, 4}; });
  refused("X.weight_scale_inv", [](Parts& p) { p.scales_shape = {4}; });
  refused("X.weight_scale_inv",
          [](Parts& p) { p.scales[3] = std::numeric_limits<float>::quiet_NaN(); });
}

}  // namespace
}  // namespace ponder
