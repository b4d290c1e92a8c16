// Weights in panels (core/tensor.h): 16 outputs side by side, so that the matrix kernels stream
// them and broadcast activations. A panel of a floating-point type is [inputs][16]. A panel of a block
// format holds the very bytes of 16 rows in the file, block after block, each field of the block as
// [units][16 rows]: so it has the file's size and goes back to it unchanged. Panels of FP8 and GPTQ
// (panels_fp8.h, panels_gptq.h) hold codes and what scales them; as rows they are float32.
#pragma once

#include <cstdint>
#include <optional>

#include "core/tensor.h"
#include "ops/cpu/kernels.h"

namespace ponder {

// Whether matrices of this type are repacked into panels; others are read as rows.
bool packs(DType dtype);

// Bytes of one panel of 16 rows of `cols` inputs, whole blocks. REQUIRES: packs(dtype)
int64_t panel_bytes(DType dtype, int64_t cols);
inline int64_t weight_bytes(DType dtype, int64_t rows, int64_t cols) {
  return panel_count(rows) * panel_bytes(dtype, cols);
}

// Of all panels, whatever they hold. REQUIRES: w is in panels
int64_t weight_bytes(const Weight& w);

// Whether the scales of w's codes lie beside them, FP8 and GPTQ.
bool is_coded(const Weight& w);
// Its panels, for the kernels.
CodedPanels coded_panels(const Weight& w);

// The type of w's rows.
inline DType row_dtype(const Weight& w) { return is_coded(w) ? DType::kF32 : w.dtype; }

// Rows in file order to panels and back. Rows beyond the last are zero. `panels` has weight_bytes()
// bytes. Both may be called per panel, by several threads: row_begin is a multiple of 16.
void rows_to_panels(DType dtype, const void* rows, int64_t row_begin, int64_t row_end, int64_t cols,
                    void* panels);
// From panels or rows.
void panels_to_rows(const Weight& w, int64_t row_begin, int64_t row_end, void* rows);

// One row as float32, from panels or rows.
void panel_row(const Weight& w, int64_t row, float* out);

// The kernels' name for panels of this type; none for floating-point types.
std::optional<PanelKind> packed_kind(DType dtype);

}  // namespace ponder
