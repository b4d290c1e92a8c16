// Keys and values as a cache keeps them: float32, float16, bfloat16 or q8_0. What a position leaves
// behind is converted on its own, so its bits do not depend on what it came with; readers make float32
// of it again.
//
// `page_keys` positions of one head, a multiple of 16, of `dim` entries each:
//   keys    panels of 16 positions, [dim][16]
//   values  rows, [dim]
// q8_0 has int8 codes in these places, then a float32 scale for each 32 entries (or what is left of
// dim) of a position: for keys [panel][blocks][16], for values [position][blocks].
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace ponder {

bool is_kv_type(DType type);

// Memory of page_keys keys or values, in floats.
int64_t kv_floats(DType type, int64_t page_keys, int64_t dim);

// Rows of x (leading dimension ld) become the keys or values of positions [at, at + rows) of a page.
void store_keys(DType type, const float* x, int64_t ld, int64_t rows, int64_t dim, int64_t at,
                float* keys, int64_t page_keys);
void store_values(DType type, const float* x, int64_t ld, int64_t rows, int64_t dim, int64_t at,
                  float* values, int64_t page_keys);

}  // namespace ponder
