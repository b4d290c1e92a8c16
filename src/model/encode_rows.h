// Rows of a matrix from wherever they are into an element type, by all threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/status.h"
#include "core/thread_pool.h"

namespace ponder {

struct RowSource {
  std::string name;  // for messages
  int64_t rows = 0, cols = 0;
  // Rows [begin, end) as float32; called from several threads.
  std::function<void(int64_t begin, int64_t end, float* out)> read;
};

// All rows as `type`. `importance`: weights of the columns' squared errors, one row of them for each
// equal part of the rows (the matrices of a stack); empty: none. kInvalid: a value beyond the type's
// range, or for blocks one that is no number.
Result<std::vector<std::byte>> encode_rows(const RowSource& source, DType type,
                                           std::span<const float> importance, ThreadPool& pool);

}  // namespace ponder
