#include "ops/panels_gptq.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/dtype.h"
#include "core/status.h"

namespace ponder {
namespace {

constexpr std::pair<DType, int> kTypes[] = {
    {DType::kGPTQ2, 2}, {DType::kGPTQ3, 3}, {DType::kGPTQ4, 4}, {DType::kGPTQ8, 8}};

int64_t step_bytes(int bits) { return kGptqStep * kPanelRows * bits / 8; }
int64_t scale_bytes(const InputGroups& groups) {
  return groups.count * kPanelRows * (groups.half_scales ? 2 : 4);
}
int64_t head_bytes(const InputGroups& groups) {
  return scale_bytes(groups) + groups.count * kPanelRows;
}

// `width` bits, from bit `from` on, of `codes` [32][lanes], into bytes that are zero.
void pack_bits(const uint8_t* codes, int64_t lanes, int from, int width, std::byte* to) {
  const int64_t rows = kGptqStep * width / 8;
  const auto mask = static_cast<uint8_t>((1 << width) - 1);
  for (int64_t c = 0; c < kGptqStep; ++c) {
    const int shift = static_cast<int>(c / rows) * width;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      to[c % rows * kPanelRows + lane] |=
          static_cast<std::byte>((codes[c * lanes + lane] >> from & mask) << shift);
    }
  }
}

bool is_half(float x) {
  const float back = f16_to_f32(f32_to_f16(x));
  return std::memcmp(&back, &x, sizeof x) == 0;
}

}  // namespace

DType gptq_dtype(int bits) {
  for (const auto& [dtype, width] : kTypes) {
    if (width == bits) return dtype;
  }
  PONDER_CHECK(false, "GPTQ has codes of 2, 3, 4 or 8 bits");
  return {};
}

int gptq_bits(DType dtype) {
  for (const auto& [type, bits] : kTypes) {
    if (type == dtype) return bits;
  }
  return 0;
}

InputGroups input_groups(const GptqMatrix& m) {
  const bool in_order = std::ranges::is_sorted(m.group_of);
  return {m.group, m.groups, in_order ? nullptr : m.group_of.data(),
          std::ranges::all_of(m.scales, is_half)};
}

int64_t gptq_panel_bytes(int bits, int64_t cols, const InputGroups& groups) {
  PONDER_CHECK(cols % kGptqStep == 0 && groups.size % kGptqStep == 0);
  return head_bytes(groups) + cols / kGptqStep * step_bytes(bits);
}

void gptq_to_panels(const GptqMatrix& m, const InputGroups& groups, int64_t row_begin,
                    int64_t row_end, void* panels) {
  PONDER_CHECK(row_begin % kPanelRows == 0 && row_begin <= row_end && row_end <= m.rows);
  const int64_t bytes = gptq_panel_bytes(m.bits, m.cols, groups);
  uint8_t codes[kGptqStep * kPanelRows];
  for (int64_t first = row_begin; first < row_end; first += kPanelRows) {
    const int64_t lanes = std::min(kPanelRows, row_end - first);
    std::byte* panel = static_cast<std::byte*>(panels) + first / kPanelRows * bytes;
    std::memset(panel, 0, static_cast<size_t>(bytes));
    for (int64_t g = 0; g < m.groups; ++g) {
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const auto at = static_cast<size_t>(g * m.rows + first + lane);
        const int64_t to = g * kPanelRows + lane;
        if (groups.half_scales) {
          const uint16_t half = f32_to_f16(m.scales[at]);
          std::memcpy(panel + to * 2, &half, sizeof half);
        } else {
          std::memcpy(panel + to * 4, &m.scales[at], sizeof(float));
        }
        panel[scale_bytes(groups) + to] = static_cast<std::byte>(m.zeros[at]);
      }
    }
    std::byte* to = panel + head_bytes(groups);
    for (int64_t step = 0; step < m.cols / kGptqStep; ++step, to += step_bytes(m.bits)) {
      m.unpack(step, first, lanes, codes);
      pack_bits(codes, lanes, 0, m.bits == 3 ? 2 : m.bits, to);
      if (m.bits == 3) pack_bits(codes, lanes, 2, 1, to + step_bytes(2));
    }
  }
}

CodedPanels gptq_panels(const void* panels, int bits, int64_t cols, const InputGroups& groups) {
  const auto* data = static_cast<const uint8_t*>(panels);
  return {bits,
          groups.half_scales,
          groups.size,
          groups.of_input,
          data,
          data + scale_bytes(groups),
          data + head_bytes(groups),
          gptq_panel_bytes(bits, cols, groups)};
}

}  // namespace ponder
