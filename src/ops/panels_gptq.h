// GPTQ weights in panels of 16 outputs (core/tensor.h). A panel: its groups' scales, [groups][16]
// float16 or float32; their zero points, [groups][16] bytes; then for each 32 inputs, in the order of
// the file, their codes: 2 bits, [8][16] bytes; 3 bits, those of the lower two, then [4][16] bytes of
// the highest; 4 bits, [16][16]; 8 bits, [32][16]. With n codes to the byte, byte (j, lane) holds input
// j in its lowest bits, then 32 / n + j, and so on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor.h"
#include "ops/cpu/kernels.h"
#include "quant/gptq.h"

namespace ponder {

// The type for codes of 2, 3, 4 or 8 bits, and back; 0: not one of them.
DType gptq_dtype(int bits);
int gptq_bits(DType dtype);

// How panels keep the groups of `matrix`, into which the result points: scales as float16 if they all
// are such numbers.
InputGroups input_groups(const GptqMatrix& matrix);

// Bytes of one panel. `cols` is a multiple of 32.
int64_t gptq_panel_bytes(int bits, int64_t cols, const InputGroups& groups);

// Outputs [row_begin, row_end), row_begin a multiple of 16, into their panels; `panels` is that of
// output 0. Outputs beyond the last are zero.
void gptq_to_panels(const GptqMatrix& matrix, const InputGroups& groups, int64_t row_begin,
                    int64_t row_end, void* panels);

// For the kernels.
CodedPanels gptq_panels(const void* panels, int bits, int64_t cols, const InputGroups& groups);

}  // namespace ponder
