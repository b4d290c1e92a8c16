#include "ops/panels_gptq.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/status.h"

namespace ponder {
namespace {

constexpr int64_t kHeadBytes = kPanelRows * 4 + kPanelRows;  // 16 scales, 16 zero points

int codes_per_byte(int bits) { return bits == 8 ? 1 : bits == 2 ? 4 : 2; }
int64_t step_bytes(int bits) { return kGptqStep * kPanelRows / codes_per_byte(bits); }
int64_t group_bytes(int bits, int64_t group) {
  return kHeadBytes + group / kGptqStep * step_bytes(bits);
}

#include "ops/cpu/weight_panels-inl.h"

// `codes` [32][lanes] into a step's bytes, which are zero.
void pack_step(const uint8_t* codes, int64_t lanes, int bits, std::byte* to) {
  const int per_byte = codes_per_byte(bits);
  const int64_t rows = kGptqStep / per_byte;
  for (int64_t c = 0; c < kGptqStep; ++c) {
    const int shift = static_cast<int>(c / rows) * (8 / per_byte);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      to[c % rows * kPanelRows + lane] |= static_cast<std::byte>(codes[c * lanes + lane] << shift);
    }
  }
}

}  // namespace

int64_t gptq_panel_bytes(int bits, int64_t cols, int64_t group) {
  PONDER_CHECK(cols % kGptqStep == 0 && group % kGptqStep == 0 && group > 0);
  const int64_t groups = (cols + group - 1) / group;
  return groups * kHeadBytes + cols / kGptqStep * step_bytes(bits);
}

std::vector<int32_t> gptq_order(const GptqMatrix& m) {
  if (std::ranges::is_sorted(m.group_of)) return {};
  std::vector<int32_t> order(m.group_of.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {},
                           [&](int32_t i) { return m.group_of[static_cast<size_t>(i)]; });
  return order;
}

void gptq_to_panels(const GptqMatrix& m, const std::vector<int32_t>& order, int64_t row_begin,
                    int64_t row_end, std::byte* panels) {
  PONDER_CHECK(row_begin % kPanelRows == 0 && row_begin <= row_end && row_end <= m.rows);
  const int64_t bytes = gptq_panel_bytes(m.bits, m.cols, m.group);
  for (int64_t first = row_begin; first < row_end; first += kPanelRows) {
    const int64_t lanes = std::min(kPanelRows, row_end - first);
    std::byte* panel = panels + first / kPanelRows * bytes;
    std::memset(panel, 0, static_cast<size_t>(bytes));
    // All codes of the panel, [cols][lanes], then in their new order.
    std::vector<uint8_t> codes(static_cast<size_t>(m.cols * lanes)), ordered;
    for (int64_t step = 0; step < m.cols / kGptqStep; ++step) {
      m.unpack(step, first, lanes, codes.data() + step * kGptqStep * lanes);
    }
    if (!order.empty()) {
      ordered.resize(codes.size());
      for (int64_t j = 0; j < m.cols; ++j) {
        std::copy_n(codes.data() + order[static_cast<size_t>(j)] * lanes, lanes,
                    ordered.data() + j * lanes);
      }
      codes.swap(ordered);
    }
    for (int64_t g = 0; g < m.groups; ++g) {
      std::byte* head = panel + g * group_bytes(m.bits, m.group);
      const auto at = static_cast<size_t>(g * m.rows + first);
      std::memcpy(head, m.scales.data() + at, static_cast<size_t>(lanes) * sizeof(float));
      std::memcpy(head + kPanelRows * 4, m.zeros.data() + at, static_cast<size_t>(lanes));
      std::byte* to = head + kHeadBytes;
      const int64_t end = std::min(m.cols, (g + 1) * m.group);
      for (int64_t c = g * m.group; c < end; c += kGptqStep, to += step_bytes(m.bits)) {
        pack_step(codes.data() + c * lanes, lanes, m.bits, to);
      }
    }
  }
}

void decode_gptq_panel(const void* panel, int bits, int64_t group, int64_t first, int64_t count,
                       float* out) {
  PONDER_CHECK(first % kGptqStep == 0 && count % kGptqStep == 0);
  const auto* bytes = static_cast<const std::byte*>(panel);
  for (int64_t c = first; c < first + count; c += kGptqStep, out += kGptqStep * kPanelRows) {
    const std::byte* head = bytes + c / group * group_bytes(bits, group);
    const std::byte* codes = head + kHeadBytes + c % group / kGptqStep * step_bytes(bits);
    const std::byte* zeros = head + kPanelRows * static_cast<int64_t>(sizeof(float));
    const auto* from = reinterpret_cast<const uint8_t*>(codes);
    if (bits == 8) {
      decode_gptq_step<1>(head, zeros, from, out);
    } else if (bits == 2) {
      decode_gptq_step<4>(head, zeros, from, out);
    } else {
      decode_gptq_step<2>(head, zeros, from, out);
    }
  }
}

}  // namespace ponder
