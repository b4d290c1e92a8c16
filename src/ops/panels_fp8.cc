#include "ops/panels_fp8.h"

#include <algorithm>
#include <cmath>
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

}  // namespace

int64_t fp8_panel_bytes(int64_t cols) { return head_bytes(cols) + cols * kPanelRows; }

bool fp8_to_panels(const uint8_t* codes, const float* scales, int64_t row_begin, int64_t row_end,
                   int64_t cols, void* panels) {
  PONDER_CHECK(row_begin % kPanelRows == 0 && row_begin <= row_end);
  constexpr int64_t kColsAtOnce = 64;  // a line of each of the 16 rows
  const int64_t blocks = block_count(cols), bytes = fp8_panel_bytes(cols);
  bool works = true;
  for (int64_t first = row_begin; first < row_end; first += kPanelRows) {
    std::byte* panel = static_cast<std::byte*>(panels) + first / kPanelRows * bytes;
    const int64_t lanes = std::min(kPanelRows, row_end - first);
    const float* block_scales = scales + first / kBlock * blocks;
    std::memset(panel, 0, static_cast<size_t>(lanes < kPanelRows ? bytes : head_bytes(cols)));
    std::memcpy(panel, block_scales, static_cast<size_t>(blocks) * sizeof(float));
    for (int64_t b = 0; b < blocks; ++b) works &= std::fabs(block_scales[b]) < 0x1p119f;
    auto* to = reinterpret_cast<uint8_t*>(panel + head_bytes(cols));
    for (int64_t c0 = 0; c0 < cols; c0 += kColsAtOnce) {
      const int64_t end = std::min(cols, c0 + kColsAtOnce);
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const uint8_t* row = codes + (first + lane) * cols;
        for (int64_t c = c0; c < end; ++c) {
          to[c * kPanelRows + lane] = row[c];
          works &= (row[c] & 0x7f) != 0x7f;
        }
      }
    }
  }
  return works;
}

CodedPanels fp8_panels(const void* panels, int64_t cols) {
  const auto* data = static_cast<const uint8_t*>(panels);
  return {0, false, 0, nullptr, data, nullptr, data + head_bytes(cols), fp8_panel_bytes(cols)};
}

}  // namespace ponder
