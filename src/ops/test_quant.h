// What the tests of quantized products share: blocks of any content, and the product as plain scalar
// arithmetic on what Format::unpack says.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "ops/testing.h"
#include "quant/format.h"

namespace ponder::testing {

// The formats with an integer form.
inline std::vector<const Format*> quantized_formats() {
  std::vector<const Format*> out;
  for (const Format& format : formats()) {
    if (format.unpack != nullptr) out.push_back(&format);
  }
  return out;
}

// A row of the format, taken apart.
struct UnpackedRow {
  UnpackedRow(const Format& format, const std::byte* row, int64_t cols)
      : codes(static_cast<size_t>(cols)),
        scales(static_cast<size_t>(cols / format.step)),
        offsets(scales.size(), 0.0f) {
    format.unpack(row, codes.data(), scales.data(), offsets.data(), cols);
  }
  std::vector<int8_t> codes;
  std::vector<float> scales, offsets;
};

// Rows of blocks of any bytes whose scales are numbers of a sensible size.
inline std::vector<std::byte> random_blocks(const Format& format, int64_t rows, int64_t cols,
                                            uint64_t seed) {
  Uniform uniform(seed);
  const auto bytes = static_cast<size_t>(format.block_bytes);
  const int64_t blocks = rows * (cols / format.block_values);
  std::vector<std::byte> out(static_cast<size_t>(blocks) * bytes);
  const auto sensible = [](const std::vector<float>& values) {
    for (float v : values) {
      if (!(std::fabs(v) < 1e5f)) return false;
    }
    return true;
  };
  for (int64_t b = 0; b < blocks; ++b) {
    std::byte* block = out.data() + static_cast<size_t>(b) * bytes;
    for (;;) {
      // Extreme bytes often.
      for (size_t i = 0; i < bytes; ++i) {
        const uint64_t u = uniform.bits();
        block[i] = static_cast<std::byte>(u % 8 == 0 ? 0xff : u % 8 == 1 ? 0x80 : u >> 8);
      }
      const UnpackedRow row(format, block, format.block_values);
      if (sensible(row.scales) && sensible(row.offsets)) break;
    }
  }
  return out;
}

// Activations of which many are the largest of their block, with either sign.
inline std::vector<float> spiky_floats(int64_t count, uint64_t seed) {
  std::vector<float> out = random_floats(count, seed);
  Uniform uniform(seed + 1000);
  for (float& x : out) {
    const uint64_t u = uniform.bits() % 4;
    if (u == 0) x = 1.0f;
    if (u == 1) x = -1.0f;
  }
  return out;
}

// x (count, cols) times the rows (n, cols), transposed.
inline std::vector<float> quant_oracle(const Format& format, const std::vector<std::byte>& rows,
                                       int64_t n, const std::vector<float>& x, int64_t count,
                                       int64_t cols) {
  const int64_t row_bytes = cols / format.block_values * format.block_bytes;
  std::vector<float> out;
  std::vector<UnpackedRow> weights;
  for (int64_t j = 0; j < n; ++j) weights.emplace_back(format, rows.data() + j * row_bytes, cols);
  for (int64_t r = 0; r < count; ++r) {
    std::vector<int> codes;
    std::vector<float> x_scales;
    for (int64_t b = 0; b < cols; b += 32) {
      const float* from = x.data() + r * cols + b;
      float largest = 0.0f;
      for (int i = 0; i < 32; ++i) largest = std::fmax(largest, std::fabs(from[i]));
      const float scale = largest / 127.0f;
      const float inverse = scale >= 0x1p-126f ? 1.0f / scale : 0.0f;
      x_scales.push_back(scale);
      for (int i = 0; i < 32; ++i) {
        const double exact = static_cast<double>(from[i]) * static_cast<double>(inverse);
        codes.push_back(
            static_cast<int>(std::fmin(std::fmax(std::nearbyint(exact), -127.0), 127.0)));
      }
    }
    for (const UnpackedRow& w : weights) {
      float sum = 0.0f;
      for (int64_t i = 0; i < cols; i += format.step) {
        int dot = 0, code_sum = 0;
        for (int64_t j = i; j < i + format.step; ++j) {
          dot += w.codes[static_cast<size_t>(j)] * codes[static_cast<size_t>(j)];
          code_sum += codes[static_cast<size_t>(j)];
        }
        const auto part = static_cast<size_t>(i / format.step);
        const float x_scale = x_scales[static_cast<size_t>(i / 32)];
        sum = std::fma(static_cast<float>(dot), w.scales[part] * x_scale, sum);
        if (format.has_offset) {
          sum = std::fma(w.offsets[part], x_scale * static_cast<float>(code_sum), sum);
        }
      }
      out.push_back(sum);
    }
  }
  return out;
}

}  // namespace ponder::testing
