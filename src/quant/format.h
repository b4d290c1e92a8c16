// The table of element formats: one row each. Names, sizes, GGUF type numbers and tests derive from
// the rows; a new block format is a struct as block.h describes (legacy_quants.cc has small ones) and
// one row in format.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/dtype.h"
#include "core/status.h"

namespace ponder {

constexpr int32_t kNoGgmlType = -1;

struct Format {
  DType dtype;
  const char* name;      // lower case: "f32", "q8_0"
  int32_t ggml_type;     // number in GGUF files; kNoGgmlType if GGUF cannot hold it
  int64_t block_values;  // elements per block; a row of a matrix is a whole number of blocks
  int64_t block_bytes;   // bytes per block

  // `n` elements (a multiple of block_values) to float32, as ggml does it, to the bit. `src` and `dst`
  // may be unaligned and do not overlap. Null for types that hold indices or flags.
  void (*decode)(const void* src, float* dst, int64_t n);
  // One row of a matrix, `n` elements, from float32. `importance`: n weights of the squared errors
  // (of the columns, from an importance matrix), or null. Null where `decode` is.
  void (*encode)(const float* src, const float* importance, void* dst, int64_t n);

  // The integer form that products with int8 activations use: element i is scales[i / step] *
  // codes[i] (+ offsets[i / step] if has_offset), the product and the sum rounded to float32 each.
  // It is what decode() gives, to the bit. step is 16 or 32; 0 and a null function: no such form.
  int64_t step = 0;
  bool has_offset = false;
  void (*unpack)(const void* src, int8_t* codes, float* scales, float* offsets,
                 int64_t n) = nullptr;
};

// All rows, one per DType.
std::span<const Format> formats();

// The row of `dtype`; always there.
const Format& format_of(DType dtype);

// Null if there is none.
const Format* find_format(std::string_view name);

// Bytes that `n` elements take: kInvalid if n is negative or no whole number of blocks, kExhausted
// if the size overflows.
Result<size_t> bytes_for(DType dtype, int64_t n);

// A type that a GGUF file may hold: its geometry, and its format if this program decodes it.
struct GgmlType {
  int32_t id;
  const char* name;
  int64_t block_values;
  int64_t block_bytes;
  const Format* format;  // null: known by size only
};

// By ggml's type number; kInvalid for numbers that were never given or whose type was removed from
// ggml.
Result<GgmlType> find_ggml_type(uint32_t id);

}  // namespace ponder
