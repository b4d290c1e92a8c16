#include "ops/panels_fp8.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/status.h"

namespace ponder {
namespace {

constexpr int64_t kBlock = 128;  // outputs and inputs that share a scale
constexpr int64_t kAlign = 64;

int64_t block_count(int64_t cols) { return (cols + kBlock - 1) / kBlock; }
int64_t head_bytes(int64_t cols) {
  const auto bytes = block_count(cols) * static_cast<int64_t>(sizeof(float));
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

// quant/f8.h's number, without a table or a branch, so that loops over it become vector code.
float e4m3_to_f32(uint8_t code) {
  const uint32_t magnitude = code & 0x7fu;
  // As exponent and mantissa of a float32 the number is 2^-120 of what it should be.
  const float value = std::bit_cast<float>(magnitude << 20) * 0x1p120f;
  const uint32_t bits = magnitude == 0x7fu ? 0x7fc00000u : std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>(bits | uint32_t{code & 0x80u} << 24);
}

}  // namespace

int64_t fp8_panel_bytes(int64_t cols) { return head_bytes(cols) + cols * kPanelRows; }

void fp8_to_panels(const uint8_t* codes, const float* scales, int64_t row_begin, int64_t row_end,
                   int64_t cols, std::byte* panels) {
  PONDER_CHECK(row_begin % kPanelRows == 0 && row_begin <= row_end);
  const int64_t blocks = block_count(cols), bytes = fp8_panel_bytes(cols);
  for (int64_t first = row_begin; first < row_end; first += kPanelRows) {
    std::byte* panel = panels + first / kPanelRows * bytes;
    std::memset(panel, 0, static_cast<size_t>(bytes));
    std::memcpy(panel, scales + first / kBlock * blocks,
                static_cast<size_t>(blocks) * sizeof(float));
    std::byte* to = panel + head_bytes(cols);
    for (int64_t r = first; r < std::min(row_end, first + kPanelRows); ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        to[c * kPanelRows + r - first] = static_cast<std::byte>(codes[r * cols + c]);
      }
    }
  }
}

void decode_fp8_panel(const void* panel, int64_t cols, int64_t first, int64_t count, float* out) {
  const auto* bytes = static_cast<const std::byte*>(panel);
  const auto* codes = reinterpret_cast<const uint8_t*>(bytes) + head_bytes(cols);
  for (int64_t c = first; c < first + count;) {
    const int64_t end = std::min(first + count, (c / kBlock + 1) * kBlock);
    float scale;
    std::memcpy(&scale, bytes + c / kBlock * static_cast<int64_t>(sizeof scale), sizeof scale);
    const int64_t values = (end - c) * kPanelRows;
    const uint8_t* from = codes + c * kPanelRows;
    for (int64_t i = 0; i < values; ++i) out[i] = e4m3_to_f32(from[i]) * scale;
    out += values;
    c = end;
  }
}

}  // namespace ponder
