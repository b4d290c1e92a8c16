#include "ops/panels.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "core/status.h"
#include "ops/panels_fp8.h"
#include "ops/panels_gptq.h"
#include "quant/format.h"

namespace ponder {
namespace {

// `bytes` bytes of a block, moved `unit` at a time. Fields follow one another as in the file, so that
// the field at byte o of a block is at byte 16 * o of the panel's; the kernels (cpu/quant-inl.h) know
// these places. Codes move four bytes at a time: four inputs of one row to a 32-bit lane.
struct Field {
  int64_t bytes, unit;
};
struct Packing {
  DType dtype;
  PanelKind kind;
  Field fields[5];
};

// Halves are 2 wide, bytes of scales 1.
constexpr Packing kPackings[] = {
    {DType::kQ8_0, PanelKind::kQ8_0, {{2, 2}, {32, 4}}},
    {DType::kQ4_0, PanelKind::kQ4_0, {{2, 2}, {16, 4}}},
    {DType::kQ4_1, PanelKind::kQ4_1, {{4, 2}, {16, 4}}},
    {DType::kQ5_0, PanelKind::kQ5_0, {{2, 2}, {20, 4}}},
    {DType::kQ5_1, PanelKind::kQ5_1, {{4, 2}, {20, 4}}},
    {DType::kQ2_K, PanelKind::kQ2_K, {{16, 1}, {64, 4}, {4, 2}}},
    {DType::kQ3_K, PanelKind::kQ3_K, {{96, 4}, {12, 1}, {2, 2}}},
    {DType::kQ4_K, PanelKind::kQ4_K, {{4, 2}, {12, 1}, {128, 4}}},
    {DType::kQ5_K, PanelKind::kQ5_K, {{4, 2}, {12, 1}, {160, 4}}},
    {DType::kQ6_K, PanelKind::kQ6_K, {{192, 4}, {16, 1}, {2, 2}}},
    {DType::kIQ4_NL, PanelKind::kIQ4_NL, {{2, 2}, {16, 4}}},
    {DType::kIQ4_XS, PanelKind::kIQ4_XS, {{4, 2}, {4, 1}, {128, 4}}},
    {DType::kMXFP4, PanelKind::kMXFP4, {{1, 1}, {16, 4}}},
    {DType::kTQ2_0, PanelKind::kTQ2_0, {{64, 4}, {2, 2}}},
    {DType::kIQ1_S, PanelKind::kIQ1_S, {{2, 2}, {32, 4}, {16, 2}}},
    {DType::kIQ1_M, PanelKind::kIQ1_M, {{32, 4}, {16, 1}, {8, 2}}},
    {DType::kIQ2_XXS, PanelKind::kIQ2_XXS, {{2, 2}, {64, 4}}},
    {DType::kIQ2_XS, PanelKind::kIQ2_XS, {{2, 2}, {64, 4}, {8, 1}}},
    {DType::kIQ2_S, PanelKind::kIQ2_S, {{2, 2}, {64, 4}, {16, 1}}},
    {DType::kIQ3_XXS, PanelKind::kIQ3_XXS, {{2, 2}, {96, 4}}},
    {DType::kIQ3_S, PanelKind::kIQ3_S, {{2, 2}, {64, 4}, {8, 1}, {32, 4}, {4, 1}}},
};

// An element of a floating-point type is a block of its own.
constexpr Packing kFloats[] = {
    {DType::kF32, {}, {{4, 4}}},
    {DType::kF16, {}, {{2, 2}}},
    {DType::kBF16, {}, {{2, 2}}},
};

const Packing* find_packing(DType dtype) {
  for (const Packing& p : kPackings) {
    if (p.dtype == dtype) return &p;
  }
  for (const Packing& p : kFloats) {
    if (p.dtype == dtype) return &p;
  }
  return nullptr;
}

const Packing& packing_of(DType dtype) {
  const Packing* packing = find_packing(dtype);
  PONDER_CHECK(packing != nullptr, "weights of this type do not lie in panels");
  return *packing;
}

// Moves a field of `count` blocks between a row and its lane of a panel.
template <size_t kUnit, bool kToPanels>
void move_field(std::byte* row, std::byte* lane, int64_t count, int64_t block_bytes,
                int64_t field_bytes) {
  constexpr int64_t kStep = kUnit;
  for (int64_t b = 0; b < count; ++b, row += block_bytes, lane += kPanelRows * block_bytes) {
    for (int64_t i = 0; i < field_bytes; i += kStep) {
      std::byte* packed = lane + kPanelRows * i;
      if constexpr (kToPanels) {
        std::memcpy(packed, row + i, kUnit);
      } else {
        std::memcpy(row + i, packed, kUnit);
      }
    }
  }
}

// `row` in file order, to or from row `lane` of `panel`.
template <bool kToPanels>
void move_row(DType dtype, std::byte* row, int64_t cols, std::byte* panel, int64_t lane) {
  const Format& format = format_of(dtype);
  const int64_t blocks = cols / format.block_values;
  int64_t at = 0;
  for (const Field& f : packing_of(dtype).fields) {
    std::byte* from = row + at;
    std::byte* to = panel + kPanelRows * at + lane * f.unit;
    if (f.unit == 4) {
      move_field<4, kToPanels>(from, to, blocks, format.block_bytes, f.bytes);
    } else if (f.unit == 2) {
      move_field<2, kToPanels>(from, to, blocks, format.block_bytes, f.bytes);
    } else if (f.unit == 1) {
      move_field<1, kToPanels>(from, to, blocks, format.block_bytes, f.bytes);
    }
    at += f.bytes;
  }
  PONDER_CHECK(at == format.block_bytes);
}

int64_t row_bytes(DType dtype, int64_t cols) {
  return static_cast<int64_t>(*bytes_for(dtype, cols));
}

std::byte* panel_of(const Weight& w, int64_t row) {
  return static_cast<std::byte*>(w.data) + row / kPanelRows * panel_bytes(w.dtype, w.cols);
}

// Rows [begin, end) of one panel as float32.
void decode_rows(const Weight& w, int64_t begin, int64_t end, float* out) {
  constexpr int64_t kStretch = 128;
  float values[kStretch * kPanelRows];
  for (int64_t c = 0; c < w.cols; c += kStretch) {
    const int64_t count = std::min(kStretch, w.cols - c);
    kernels().decode_coded(coded_panels(w), begin / kPanelRows, c, count, values);
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t i = 0; i < count; ++i) {
        out[(r - begin) * w.cols + c + i] = values[i * kPanelRows + r % kPanelRows];
      }
    }
  }
}

}  // namespace

bool packs(DType dtype) { return find_packing(dtype) != nullptr; }

std::optional<PanelKind> packed_kind(DType dtype) {
  for (const Packing& p : kPackings) {
    if (p.dtype == dtype) return p.kind;
  }
  return std::nullopt;
}

int64_t panel_bytes(DType dtype, int64_t cols) { return kPanelRows * row_bytes(dtype, cols); }

bool is_coded(const Weight& w) {
  return w.groups != nullptr || (w.layout == Layout::kPanels && w.dtype == DType::kF8_E4M3);
}

int64_t weight_bytes(const Weight& w) {
  PONDER_CHECK(w.layout == Layout::kPanels);
  return is_coded(w) ? panel_count(w.rows) * coded_panels(w).stride
                     : weight_bytes(w.dtype, w.rows, w.cols);
}

CodedPanels coded_panels(const Weight& w) {
  return w.groups != nullptr ? gptq_panels(w.data, gptq_bits(w.dtype), w.cols, *w.groups)
                             : fp8_panels(w.data, w.cols);
}

void rows_to_panels(DType dtype, const void* rows, int64_t row_begin, int64_t row_end, int64_t cols,
                    void* panels) {
  PONDER_CHECK(row_begin % kPanelRows == 0 && row_begin <= row_end);
  const int64_t bytes = row_bytes(dtype, cols);
  auto* from = static_cast<std::byte*>(const_cast<void*>(rows));
  auto* to = static_cast<std::byte*>(panels);
  if (row_end % kPanelRows != 0) {
    std::memset(to + row_end / kPanelRows * kPanelRows * bytes, 0,
                static_cast<size_t>(kPanelRows * bytes));
  }
  for (int64_t r = row_begin; r < row_end; ++r) {
    move_row<true>(dtype, from + (r - row_begin) * bytes, cols,
                   to + r / kPanelRows * kPanelRows * bytes, r % kPanelRows);
  }
}

void panels_to_rows(const Weight& w, int64_t row_begin, int64_t row_end, void* rows) {
  PONDER_CHECK(w.layout != Layout::kPlain && 0 <= row_begin && row_end <= w.rows);
  if (is_coded(w)) {
    auto* out = static_cast<float*>(rows);
    for (int64_t r = row_begin; r < row_end;) {
      const int64_t end = std::min(row_end, (r / kPanelRows + 1) * kPanelRows);
      decode_rows(w, r, end, out + (r - row_begin) * w.cols);
      r = end;
    }
    return;
  }
  const int64_t bytes = row_bytes(w.dtype, w.cols);
  auto* to = static_cast<std::byte*>(rows);
  if (w.layout == Layout::kRows) {
    std::memcpy(to, static_cast<const std::byte*>(w.data) + row_begin * bytes,
                static_cast<size_t>((row_end - row_begin) * bytes));
    return;
  }
  for (int64_t r = row_begin; r < row_end; ++r, to += bytes) {
    move_row<false>(w.dtype, to, w.cols, panel_of(w, r), r % kPanelRows);
  }
}

void panel_row(const Weight& w, int64_t row, float* out) {
  PONDER_CHECK(w.layout != Layout::kPlain && 0 <= row && row < w.rows);
  if (is_coded(w)) return decode_rows(w, row, row + 1, out);
  const Format& format = format_of(w.dtype);
  if (w.layout == Layout::kRows) {
    format.decode(static_cast<const std::byte*>(w.data) + row * row_bytes(w.dtype, w.cols), out,
                  w.cols);
    return;
  }
  // A stretch of the row at a time, gathered on the stack.
  constexpr int64_t kRoom = 4096;
  alignas(64) std::byte gathered[kRoom];
  const int64_t blocks = w.cols / format.block_values, most = kRoom / format.block_bytes;
  std::byte* panel = panel_of(w, row);
  for (int64_t b = 0; b < blocks; b += most) {
    const int64_t values = std::min(most, blocks - b) * format.block_values;
    move_row<false>(w.dtype, gathered, values, panel + b * kPanelRows * format.block_bytes,
                    row % kPanelRows);
    format.decode(gathered, out + b * format.block_values, values);
  }
}

}  // namespace ponder
