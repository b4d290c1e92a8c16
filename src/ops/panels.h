// Weights in panels (core/tensor.h): 16 outputs side by side, so that the matrix kernels stream
// them and broadcast activations.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace ponder {

// Whether matrices of this type are repacked into panels; others are read as rows.
bool packs(DType dtype);

// Bytes of one panel of 16 rows of `cols` inputs. q8_0 panels hold per block of 32 inputs 16 float
// scales and [8][16][4] bytes.
int64_t panel_bytes(DType dtype, int64_t cols);
inline int64_t weight_bytes(DType dtype, int64_t rows, int64_t cols) {
  return panel_count(rows) * panel_bytes(dtype, cols);
}

// Rows in file order (row-major, `dtype`: f32, f16, bf16 or q8_0 with cols a multiple of 32) to
// panels and back. Rows beyond the last are zero. `panels` has weight_bytes() bytes. Both may be
// called per panel: row_begin is a multiple of 16.
void rows_to_panels(DType dtype, const void* rows, int64_t row_begin, int64_t row_end, int64_t cols,
                    void* panels);
void panels_to_rows(const Weight& w, int64_t row_begin, int64_t row_end, void* rows);

// One row as float32.
void panel_row(const Weight& w, int64_t row, float* out);

}  // namespace ponder
