#include "io/ggml_blocks.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "quant/format.h"

namespace ponder {
namespace {

constexpr int64_t kNibbleBytes = 16;  // of 32 elements

uint8_t nibble(const std::byte* bytes, int64_t element) {
  const auto byte = static_cast<uint8_t>(bytes[element / 2]);
  return element % 2 == 0 ? byte & 0xfu : byte >> 4;
}

}  // namespace

std::optional<OldBlock> old_block(DType dtype, int era) {
  const bool interleaved = era < 2;
  switch (dtype) {
    case DType::kQ4_0:
      if (era >= 3) return {};
      return OldBlock{dtype, 4 + 16, 1, 0, true, interleaved};
    case DType::kQ4_1:
      if (era >= 3) return {};
      return OldBlock{dtype, 8 + 16, 2, 0, true, interleaved};
    case DType::kQ8_0:
      if (era >= 3) return {};
      return OldBlock{dtype, 4 + 32, 1, 0, false, false};
    case DType::kQ5_0:
      if (era >= 2) return {};
      return OldBlock{dtype, 2 + 4 + 16, 0, 1, true, interleaved};
    case DType::kQ5_1:
      if (era >= 2) return {};
      return OldBlock{dtype, 4 + 4 + 16, 0, 2, true, interleaved};
    default:
      return {};
  }
}

Result<std::vector<std::byte>> modern_blocks(const OldBlock& block, const std::byte* src,
                                             int64_t count) {
  const int64_t bytes = format_of(block.dtype).block_bytes;
  std::vector<std::byte> out(static_cast<size_t>(count * bytes));
  const int64_t tail = block.nibbles ? kNibbleBytes : 0;
  const int64_t middle =
      block.bytes - block.floats * 4 - tail;  // halves, high bits, bytes: as they are
  std::byte* to = out.data();
  for (int64_t b = 0; b < count; ++b, src += block.bytes, to += bytes) {
    std::byte* at = to;
    for (int64_t i = 0; i < block.floats; ++i, at += 2) {
      float value;
      std::memcpy(&value, src + i * 4, sizeof value);
      const uint16_t half = f32_to_f16(value);
      if (!std::isfinite(f16_to_f32(half))) {
        return invalid(fmt::format("block {} has the scale {}, beyond binary16", b, value));
      }
      std::memcpy(at, &half, sizeof half);
    }
    std::memcpy(at, src + block.floats * 4, static_cast<size_t>(middle));
    at += middle;
    const std::byte* nibbles = src + block.bytes - tail;
    if (block.interleaved) {
      for (int64_t j = 0; j < kNibbleBytes; ++j) {
        at[j] = static_cast<std::byte>(nibble(nibbles, j) | nibble(nibbles, j + 16) << 4);
      }
    } else {
      std::memcpy(at, nibbles, static_cast<size_t>(tail));
    }
  }
  return out;
}

}  // namespace ponder
