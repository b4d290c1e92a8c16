#include "ops/panels_fp8.h"

#include <algorithm>
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

#include "ops/cpu/weight_panels-inl.h"

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
    decode_fp8_step(codes + c * kPanelRows, scale, end - c, out);
    out += (end - c) * kPanelRows;
    c = end;
  }
}

}  // namespace ponder
