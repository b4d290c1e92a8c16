// Block layouts of files from before GGUF, brought into today's (quant/format.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/dtype.h"
#include "core/status.h"

namespace ponder {

// How a type lay in files until ggjt 1 (era 1), in ggjt 2 (era 2) and since (era 3):
// - era 1 and 2: q4_0, q4_1, q8_0 have float32 scales and minima, binary16 since;
// - era 1: byte j of the nibbles holds elements 2j and 2j + 1; since, j and j + 16.
struct OldBlock {
  DType dtype;
  int64_t bytes;     // of a block of 32 elements
  int64_t floats;    // float32 numbers at its start
  int64_t halves;    // else binary16 ones
  bool nibbles;      // its last 16 bytes are nibbles
  bool interleaved;  // in era 1's order
};

// The layout of `dtype` in `era`; none where it is today's.
std::optional<OldBlock> old_block(DType dtype, int era);

// `count` blocks at `src` as today's. kInvalid: a scale beyond binary16.
Result<std::vector<std::byte>> modern_blocks(const OldBlock& block, const std::byte* src,
                                             int64_t count);

}  // namespace ponder
