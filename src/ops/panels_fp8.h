// FP8 weights in panels of 16 outputs (core/tensor.h): ceil(inputs / 128) float32 scales, padded to a
// multiple of 64 bytes, then the e4m3 codes, [inputs][16]. Blocks of 128 outputs are whole panels, so
// one scale serves 128 inputs of a panel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor.h"
#include "ops/cpu/kernels.h"

namespace ponder {

int64_t fp8_panel_bytes(int64_t cols);

// Outputs [row_begin, row_end), row_begin a multiple of 16, into their panels; `codes` (rows, cols) and
// `panels` are those of output 0, `scales` (ceil(rows / 128), ceil(cols / 128)). Outputs beyond the
// last are zero. False if a code is NaN or a scale so large (2^119) that kernels cannot add 8 to its
// exponent: such a matrix does not work in panels.
[[nodiscard]] bool fp8_to_panels(const uint8_t* codes, const float* scales, int64_t row_begin,
                                 int64_t row_end, int64_t cols, void* panels);

// For the kernels.
CodedPanels fp8_panels(const void* panels, int64_t cols);

}  // namespace ponder
