// What the tests of this module share: repeatable inputs, guarded buffers, comparisons of bits.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "ops/cpu/kernels.h"

namespace ponder::testing {

// Uniform numbers in [low, high), the same for the same seed (splitmix64).
class Uniform {
 public:
  explicit Uniform(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  float operator()(float low, float high) {
    return low + (high - low) * static_cast<float>(bits() >> 40) * 0x1p-24f;
  }

 private:
  uint64_t state_;
};

inline std::vector<float> random_floats(int64_t count, uint64_t seed, float low = -1.0f,
                                        float high = 1.0f) {
  Uniform uniform(seed);
  std::vector<float> out(static_cast<size_t>(count));
  for (float& x : out) x = uniform(low, high);
  return out;
}

// A buffer that kernels write into, between margins that they must leave alone. Starts as NaN, so
// that a read of what was never written shows.
class Guarded {
 public:
  explicit Guarded(int64_t count)
      : Guarded(std::vector<float>(static_cast<size_t>(count),
                                   std::numeric_limits<float>::quiet_NaN())) {}
  explicit Guarded(const std::vector<float>& content) : memory_(content.size() + 2 * kMargin) {
    for (size_t i = 0; i < memory_.size(); ++i) memory_[i] = mark(i);
    std::copy(content.begin(), content.end(), memory_.begin() + kMargin);
  }
  float* data() { return memory_.data() + kMargin; }
  std::vector<float> content() const {
    return {memory_.begin() + kMargin, memory_.end() - kMargin};
  }
  // The content, after a check of the margins.
  std::vector<float> checked() const {
    for (size_t i = 0; i < kMargin; ++i) {
      const size_t end = memory_.size() - 1 - i;
      EXPECT_EQ(memory_[i], mark(i)) << "written " << kMargin - i << " before the start";
      EXPECT_EQ(memory_[end], mark(end)) << "written " << kMargin - i << " past the end";
    }
    return content();
  }

 private:
  static constexpr size_t kMargin = 64;
  static float mark(size_t i) { return -12345.0f - static_cast<float>(i); }
  std::vector<float> memory_;
};

inline void expect_same_bits(std::span<const float> expected, std::span<const float> got,
                             const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  if (expected.empty() || std::memcmp(expected.data(), got.data(), expected.size_bytes()) == 0) {
    return;
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::memcmp(&expected[i], &got[i], sizeof(float)) != 0) {
      ADD_FAILURE() << what << ": element " << i << " of " << expected.size() << " is " << got[i]
                    << ", expected " << expected[i];
      return;
    }
  }
}

// Runs a test body with another table and puts the one before it back.
class WithKernels {
 public:
  explicit WithKernels(const Kernels& table) : before_(kernels()) { set_kernels(table); }
  ~WithKernels() { set_kernels(before_); }
  WithKernels(const WithKernels&) = delete;
  WithKernels& operator=(const WithKernels&) = delete;

 private:
  const Kernels& before_;
};

}  // namespace ponder::testing
