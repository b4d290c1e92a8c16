// Sums and maxima over a few values, for encoders.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace ponder {

// NaN counts as nothing.
inline float largest_magnitude(const float* values, int64_t n) {
  float largest = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    const float magnitude = std::fabs(values[i]);
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

// Sum of term(i) over kCount, a multiple of 8: eight lanes, then a tree, on every machine.
template <size_t kCount, typename Term>
float lane_sum(Term term) {
  static_assert(kCount % 8 == 0);
  float lanes[8] = {};
  for (size_t i = 0; i < kCount; i += 8) {
    for (size_t j = 0; j < 8; ++j) lanes[j] += term(i + j);
  }
  for (size_t j = 0; j < 4; ++j) lanes[j] += lanes[j + 4];
  return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

}  // namespace ponder
