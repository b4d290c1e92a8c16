#include "quant/fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "quant/block.h"

namespace ponder {
namespace {

TEST(RoundCode, TiesToEvenHeldToTheRange) {
  EXPECT_EQ(round_code(2.5f, -8.0f, 7.0f), 2.0f);
  EXPECT_EQ(round_code(3.5f, -8.0f, 7.0f), 4.0f);
  EXPECT_EQ(round_code(-0.5f, -8.0f, 7.0f), 0.0f);
  EXPECT_EQ(round_code(7.6f, -8.0f, 7.0f), 7.0f);
  EXPECT_EQ(round_code(-1e30f, -8.0f, 7.0f), -8.0f);
  EXPECT_EQ(round_code(std::numeric_limits<float>::infinity(), -8.0f, 7.0f), 7.0f);
  EXPECT_EQ(round_code(std::numeric_limits<float>::quiet_NaN(), -8.0f, 7.0f), -8.0f);
}

TEST(Fit, FindsTheGridThatValuesLieOn) {
  std::vector<float> x(32), weights(32);
  for (int i = 0; i < 32; ++i) {
    x[static_cast<size_t>(i)] = 0.3f * static_cast<float>(i % 16 - 8);
    weights[static_cast<size_t>(i)] = 1.0f + static_cast<float>(i % 3);
  }
  EXPECT_NEAR(fit_scale(x.data(), weights.data(), 32, -8.0f, 7.0f), 0.3f, 1e-6f);
  for (float& value : x) value = -value;  // the code -8 goes to the largest magnitude
  EXPECT_NEAR(fit_scale(x.data(), weights.data(), 32, -8.0f, 7.0f), -0.3f, 1e-6f);
  const Affine fit = fit_affine(x.data(), weights.data(), 32, 15.0f, 0.0f);
  EXPECT_NEAR(fit.scale, 0.3f, 1e-6f);
  EXPECT_NEAR(fit.offset, -2.1f, 1e-5f);
}

TEST(Fit, OffsetHasItsBound) {
  std::vector<float> x(32), weights(32, 1.0f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 5.0f + 0.1f * static_cast<float>(i % 16);
  EXPECT_EQ(fit_affine(x.data(), weights.data(), 32, 15.0f, 0.0f).offset, 0.0f);
  const Affine fit =
      fit_affine(x.data(), weights.data(), 32, 15.0f, std::numeric_limits<float>::infinity());
  EXPECT_NEAR(fit.offset, 5.0f, 1e-3f);
  EXPECT_NEAR(fit.scale, 0.1f, 1e-4f);
  const Affine coarse{0.5f, -1.0f};  // x lies above 0: no offset up to 0 is better than 0
  EXPECT_EQ(fit_offset(x.data(), weights.data(), 32, 7.0f, coarse), 0.0f);
}

TEST(Fit, WithoutWeightTheRangeDecides) {
  std::vector<float> x(16, 0.5f), weights(16, 0.0f);
  x[3] = -2.0f;
  EXPECT_EQ(fit_scale(x.data(), weights.data(), 16, -4.0f, 3.0f), 0.5f);
  const Affine fit = fit_affine(x.data(), weights.data(), 16, 5.0f, 0.0f);
  EXPECT_EQ(fit.scale, 0.5f);
  EXPECT_EQ(fit.offset, -2.0f);
  EXPECT_EQ(fit_offset(x.data(), weights.data(), 16, 5.0f, fit), -2.0f);
}

}  // namespace
}  // namespace ponder
