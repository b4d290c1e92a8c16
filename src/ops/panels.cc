#include "ops/panels.h"

#include <cstddef>
#include <cstring>

#include "core/status.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr int64_t kQ8Block = 32;
constexpr int64_t kQ8FileBytes = 2 + kQ8Block;                  // f16 scale, 32 bytes
constexpr int64_t kQ8PanelBytes = kPanelRows * (4 + kQ8Block);  // 16 f32 scales, [8][16][4] bytes

int64_t element_bytes(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
      return 2;
    default:
      PONDER_CHECK(false, "weights in panels are f32, f16, bf16 or q8_0");
      return 0;
  }
}

// Moves element (row, col) between row-major bytes and panels, T wide.
template <typename T, bool kToPanels>
void move_elements(void* rows, int64_t begin, int64_t end, int64_t cols, void* panels) {
  T* from = static_cast<T*>(rows);
  T* to = static_cast<T*>(panels);
  for (int64_t r = begin; r < end; ++r) {
    T* panel = to + r / kPanelRows * kPanelRows * cols + r % kPanelRows;
    T* row = from + (r - begin) * cols;
    for (int64_t c = 0; c < cols; ++c) {
      if constexpr (kToPanels) {
        panel[c * kPanelRows] = row[c];
      } else {
        row[c] = panel[c * kPanelRows];
      }
    }
  }
}

// The place of byte 0 of a row's block in a q8_0 panel; byte i of the block is at (i / 4) * 64 + i
// % 4 from there.
template <typename Byte>
Byte* q8_block(Byte* panels, int64_t row, int64_t cols, int64_t block) {
  return panels + (row / kPanelRows * (cols / kQ8Block) + block) * kQ8PanelBytes;
}

template <bool kToPanels>
void move_q8(std::byte* rows, int64_t begin, int64_t end, int64_t cols, std::byte* panels) {
  const int64_t blocks = cols / kQ8Block;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t lane = r % kPanelRows;
    for (int64_t b = 0; b < blocks; ++b) {
      std::byte* file = rows + ((r - begin) * blocks + b) * kQ8FileBytes;
      std::byte* panel = q8_block(panels, r, cols, b);
      std::byte* bytes = panel + kPanelRows * 4 + lane * 4;
      uint16_t half;
      float scale;
      if constexpr (kToPanels) {
        std::memcpy(&half, file, 2);
        scale = f16_to_f32(half);
        std::memcpy(panel + lane * 4, &scale, 4);
        for (int64_t i = 0; i < kQ8Block; i += 4) std::memcpy(bytes + i / 4 * 64, file + 2 + i, 4);
      } else {
        std::memcpy(&scale, panel + lane * 4, 4);
        half = f32_to_f16(scale);
        std::memcpy(file, &half, 2);
        for (int64_t i = 0; i < kQ8Block; i += 4) std::memcpy(file + 2 + i, bytes + i / 4 * 64, 4);
      }
    }
  }
}

template <bool kToPanels>
void move_rows(DType dtype, void* rows, int64_t begin, int64_t end, int64_t cols, void* panels) {
  if (dtype == DType::kQ8_0) {
    move_q8<kToPanels>(static_cast<std::byte*>(rows), begin, end, cols,
                       static_cast<std::byte*>(panels));
  } else if (element_bytes(dtype) == 4) {
    move_elements<uint32_t, kToPanels>(rows, begin, end, cols, panels);
  } else {
    move_elements<uint16_t, kToPanels>(rows, begin, end, cols, panels);
  }
}

}  // namespace

bool packs(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kQ8_0;
}

int64_t panel_bytes(DType dtype, int64_t cols) {
  if (dtype == DType::kQ8_0) {
    PONDER_CHECK(cols % kQ8Block == 0);
    return cols / kQ8Block * kQ8PanelBytes;
  }
  return kPanelRows * cols * element_bytes(dtype);
}

void rows_to_panels(DType dtype, const void* rows, int64_t row_begin, int64_t row_end, int64_t cols,
                    void* panels) {
  PONDER_CHECK(row_begin % kPanelRows == 0 && row_begin <= row_end);
  if (row_end % kPanelRows != 0) {
    const int64_t bytes = panel_bytes(dtype, cols);
    std::memset(static_cast<std::byte*>(panels) + row_end / kPanelRows * bytes, 0,
                static_cast<size_t>(bytes));
  }
  move_rows<true>(dtype, const_cast<void*>(rows), row_begin, row_end, cols, panels);
}

void panels_to_rows(const Weight& w, int64_t row_begin, int64_t row_end, void* rows) {
  PONDER_CHECK(w.layout != Layout::kPlain && 0 <= row_begin && row_end <= w.rows);
  if (w.layout == Layout::kRows) {
    const size_t bytes = *bytes_for(w.dtype, w.cols);
    std::memcpy(rows,
                static_cast<const std::byte*>(w.data) + static_cast<size_t>(row_begin) * bytes,
                static_cast<size_t>(row_end - row_begin) * bytes);
    return;
  }
  move_rows<false>(w.dtype, rows, row_begin, row_end, w.cols, w.data);
}

void panel_row(const Weight& w, int64_t row, float* out) {
  PONDER_CHECK(w.layout != Layout::kPlain && 0 <= row && row < w.rows);
  if (w.layout == Layout::kRows) {
    const size_t bytes = *bytes_for(w.dtype, w.cols);
    format_of(w.dtype).decode(
        static_cast<const std::byte*>(w.data) + static_cast<size_t>(row) * bytes, out, w.cols);
    return;
  }
  const int64_t lane = row % kPanelRows;
  const std::byte* panel =
      static_cast<const std::byte*>(w.data) + row / kPanelRows * panel_bytes(w.dtype, w.cols);
  const float* f32 = reinterpret_cast<const float*>(panel);
  const uint16_t* u16 = reinterpret_cast<const uint16_t*>(panel);
  switch (w.dtype) {
    case DType::kF32:
      for (int64_t c = 0; c < w.cols; ++c) out[c] = f32[c * kPanelRows + lane];
      return;
    case DType::kF16:
      for (int64_t c = 0; c < w.cols; ++c) out[c] = f16_to_f32(u16[c * kPanelRows + lane]);
      return;
    case DType::kBF16:
      for (int64_t c = 0; c < w.cols; ++c) out[c] = bf16_to_f32(u16[c * kPanelRows + lane]);
      return;
    default:
      break;
  }
  for (int64_t b = 0; b < w.cols / kQ8Block; ++b) {
    const std::byte* block = panel + b * kQ8PanelBytes;
    float scale;
    std::memcpy(&scale, block + lane * 4, 4);
    for (int64_t i = 0; i < kQ8Block; ++i) {
      const auto q = static_cast<int8_t>(block[kPanelRows * 4 + i / 4 * 64 + lane * 4 + i % 4]);
      out[b * kQ8Block + i] = scale * static_cast<float>(q);
    }
  }
}

}  // namespace ponder
