// GPTQ weights in panels of 16 outputs (core/tensor.h). Inputs stand in an order in which groups are
// contiguous; it travels with the weight, and activations are brought into it before the product.
//
// A panel is its groups one after another. A group: 16 float32 scales, 16 zero points (u8), then for
// each 32 inputs their codes: 2 bits, [8][16] bytes; 3 and 4 bits, [16][16]; 8 bits, [32][16]. With n
// codes to the byte, byte (j, lane) holds input j in its lowest bits, then 32 / n + j, and so on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "quant/gptq.h"

namespace ponder {

// Bytes of one panel. `group` and `cols` are multiples of 32; the last group may be shorter.
int64_t gptq_panel_bytes(int bits, int64_t cols, int64_t group);

// Panel column j is the matrix's input order[j]: inputs by group, and within it as they were. Empty if
// that is the order they are in.
std::vector<int32_t> gptq_order(const GptqMatrix& matrix);

// Outputs [row_begin, row_end), row_begin a multiple of 16, into their panels; `panels` is that of
// output 0. `order` is gptq_order(). Outputs beyond the last are zero.
void gptq_to_panels(const GptqMatrix& matrix, const std::vector<int32_t>& order, int64_t row_begin,
                    int64_t row_end, std::byte* panels);

// Inputs [first, first + count) of a panel, both multiples of 32, to float32, out[count][16]: the
// numbers of GptqMatrix::dequantize().
void decode_gptq_panel(const void* panel, int bits, int64_t group, int64_t first, int64_t count,
                       float* out);

}  // namespace ponder
