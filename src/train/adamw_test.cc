#include "train/adamw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/rng.h"

namespace ponder {
namespace {

std::vector<float> normals(size_t count, uint64_t index) {
  Rng rng(7, hash64("adamw_test"), index);
  std::vector<float> out(count);
  for (float& x : out) x = static_cast<float>(rng.normal());
  return out;
}

TEST(AdamW, FirstStepByHand) {
  // Bias correction makes the first update lr sign(g), after a decay of lr wd w.
  std::vector<float> w{1.0f, -2.0f}, g{0.5f, -3.0f}, m(2), v(2);
  const AdamWStep step = adamw_step({0.9, 0.999, 1e-12, 0.1}, 0.01, 1);
  adamw_update(step, w.data(), g.data(), m.data(), v.data(), 0, 2);
  EXPECT_NEAR(double{w[0]}, 1.0 - 0.001 - 0.01, 1e-6);
  EXPECT_NEAR(double{w[1]}, -2.0 + 0.002 + 0.01, 1e-6);
  EXPECT_NEAR(double{m[0]}, 0.05, 1e-8);
  EXPECT_NEAR(double{v[1]}, 0.009, 1e-8);
}

TEST(AdamW, BitsDoNotDependOnTheRanges) {
  constexpr int64_t kSize = 1003;
  const std::vector<float> start = normals(kSize, 0), g = normals(kSize, 1);
  const AdamWStep step = adamw_step({}, 0.003, 3, 0.7);
  std::vector<float> w = start, m(kSize), v(kSize);
  adamw_update(step, w.data(), g.data(), m.data(), v.data(), 0, kSize);
  for (int64_t cut : {1, 7, 64}) {
    std::vector<float> w2 = start, m2(kSize), v2(kSize);
    for (int64_t begin = 0; begin < kSize; begin += cut) {
      adamw_update(step, w2.data(), g.data(), m2.data(), v2.data(), begin,
                   std::min(kSize, begin + cut));
    }
    EXPECT_EQ(w2, w);
    EXPECT_EQ(m2, m);
    EXPECT_EQ(v2, v);
  }
}

TEST(AdamW, GradScaleIsAScaledGradient) {
  const std::vector<float> start = normals(50, 2), g = normals(50, 3);
  std::vector<float> quarter = g;
  for (float& x : quarter) x *= 0.25f;
  std::vector<float> w = start, m(50), v(50), w2 = start, m2(50), v2(50);
  adamw_update(adamw_step({}, 0.01, 1, 0.25), w.data(), g.data(), m.data(), v.data(), 0, 50);
  adamw_update(adamw_step({}, 0.01, 1), w2.data(), quarter.data(), m2.data(), v2.data(), 0, 50);
  EXPECT_EQ(w, w2);
}

TEST(AdamW, BiasCorrectionAtManySteps) {
  for (int64_t t : {1, 2, 10, 1000, 1000000}) {
    const AdamWStep s = adamw_step({0.9, 0.999, 1e-8, 0}, 1.0, t);
    EXPECT_FLOAT_EQ(s.rate, static_cast<float>(1 / (1 - std::pow(0.9, t))));
    EXPECT_FLOAT_EQ(s.root2, static_cast<float>(std::sqrt(1 - std::pow(0.999, t))));
  }
}

TEST(GradientNorm, ChunksInAnyRangesGiveTheSameBits) {
  const std::vector<float> g = normals(3 * kNormChunk + 13, 4);
  EXPECT_EQ(norm_chunks(0), 0);
  EXPECT_EQ(norm_chunks(kNormChunk), 1);
  const int64_t chunks = norm_chunks(static_cast<int64_t>(g.size()));
  ASSERT_EQ(chunks, 4);
  std::vector<double> all(4), apart(4);
  sum_squares(g, 0, 4, all);
  for (int64_t c = 3; c >= 0; --c) sum_squares(g, c, c + 1, apart);
  EXPECT_EQ(all, apart);
  double expected = 0;
  for (float x : g) expected += double{x} * double{x};
  EXPECT_NEAR(global_norm(all), std::sqrt(expected), 1e-10);
}

TEST(GradientNorm, Clip) {
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_scale(0.0, 1.0), 1.0);
  EXPECT_NEAR(clip_scale(4.0, 1.0), 0.25, 1e-6);
  EXPECT_LT(clip_scale(1.0, 1.0), 1.0);  // the 1e-6 shows
  EXPECT_EQ(clip_scale(1e30, 0.0), 1.0);
}

TEST(GradientNorm, ShowsWhatIsNotFinite) {
  std::vector<float> g(5, 1.0f);
  g[3] = std::numeric_limits<float>::infinity();
  std::vector<double> partials(1);
  sum_squares(g, 0, 1, partials);
  EXPECT_FALSE(std::isfinite(global_norm(partials)));
}

}  // namespace
}  // namespace ponder
