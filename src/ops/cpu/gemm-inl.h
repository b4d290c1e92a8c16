// Matrix products. One microkernel: a tile of R rows by P panels of 16 outputs is an outer product
// per step of k, so each output element is one chain of fused multiply-adds over k = 0, 1, 2, ...
// whatever the tile, the row count or the thread. Blocking along k stores the partial chain and
// takes it up again: the same chain.

// The largest tile that fits into `left` rows.
PONDER_INLINE int tile_rows(int64_t left) {
  if (left >= kMaxRows) return kMaxRows;
  return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

// a: element (row r, step k) at a[r * row_step + k * k_step]; b[p]: vector of step k at b[p] + k *
// b_step; c[p]: row r at c[p] + r * ldc. kTail: only n_last lanes of the last panel exist.
template <int R, int P, bool kTail>
PONDER_INLINE void micro(const float* a, int64_t row_step, int64_t k_step, const float* const* b,
                         int64_t b_step, int64_t k, float* const* c, int64_t ldc, bool accumulate,
                         int n_last) {
  F acc[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      if (!accumulate) {
        acc[r][p] = zero();
      } else if (kTail && p == P - 1) {
        acc[r][p] = load_n(c[p] + r * ldc, n_last);
      } else {
        acc[r][p] = load(c[p] + r * ldc);
      }
    }
  }
  const float* b_at[P];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) b_at[p] = b[p];
  for (int64_t i = 0; i < k; ++i) {
    F w[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      w[p] = kTail && p == P - 1 ? load_n(b_at[p], n_last) : load(b_at[p]);
      b_at[p] += b_step;
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const F x = set1(a[r * row_step]);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) acc[r][p] = fma(x, w[p], acc[r][p]);
    }
    a += k_step;
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      if (kTail && p == P - 1) {
        store_n(c[p] + r * ldc, acc[r][p], n_last);
      } else {
        store(c[p] + r * ldc, acc[r][p]);
      }
    }
  }
}

// Operands of a product in the general form; see micro().
struct Product {
  const float* a;
  int64_t row_step, k_step;
  const float* b;
  int64_t b_stride, b_step;  // from panel to panel, from step to step
  int64_t k;
  float* c;
  int64_t c_stride, ldc;
  bool accumulate;
};

template <int R, int P, bool kPacked>
PONDER_INLINE void tile(const Product& m, int n_last) {
  const float* b[P];
  float* c[P];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    b[p] = m.b + p * m.b_stride;
    c[p] = m.c + p * m.c_stride;
  }
  const int64_t row_step = kPacked ? 1 : m.row_step;
  if (n_last == 16) {
    micro<R, P, false>(m.a, row_step, m.k_step, b, m.b_step, m.k, c, m.ldc, m.accumulate, 16);
  } else {
    micro<R, P, true>(m.a, row_step, m.k_step, b, m.b_step, m.k, c, m.ldc, m.accumulate, n_last);
  }
}

template <int P, bool kPacked>
inline void tile_of(const Product& m, int rows, int n_last) {
  constexpr int kMost = P > kMaxPanels ? 2 : kPacked ? kMaxRows : 4;
  switch (rows) {
    case 12:
      return tile<(kMost >= 12 ? 12 : kMost), P, kPacked>(m, n_last);
    case 8:
      return tile<(kMost >= 8 ? 8 : kMost), P, kPacked>(m, n_last);
    case 6:
      return tile<(kMost >= 6 ? 6 : kMost), P, kPacked>(m, n_last);
    case 4:
      return tile<(kMost >= 4 ? 4 : kMost), P, kPacked>(m, n_last);
    case 3:
      return tile<(kMost >= 3 ? 3 : kMost), P, kPacked>(m, n_last);
    case 2:
      return tile<2, P, kPacked>(m, n_last);
    default:
      return tile<1, P, kPacked>(m, n_last);
  }
}

// rows: a value of tile_rows() or, for strided operands, at most 4. panels: at most widest(rows).
template <bool kPacked>
inline void tile_any(const Product& m, int rows, int panels, int n_last) {
  if constexpr (kNarrowPanels >= 4) {
    if (panels == 4) return tile_of<4, kPacked>(m, rows, n_last);
    if (panels == 3) return tile_of<3, kPacked>(m, rows, n_last);
  }
  if constexpr (kNarrowPanels >= 2) {
    if (panels == 2) return tile_of<2, kPacked>(m, rows, n_last);
  }
  tile_of<1, kPacked>(m, rows, n_last);
}

// The most panels that a tile may have when a product has this many rows.
PONDER_INLINE int widest(int64_t rows) { return rows <= 2 ? kNarrowPanels : kMaxPanels; }

// The panels of the next tile when n columns are left.
PONDER_INLINE int panels_for(int64_t n, int most) {
  const int64_t panels = (n + 15) / 16;
  return panels < most ? static_cast<int>(panels) : most;
}

// All of c (rows, n) from strided operands: small products inside attention.
inline void product(Product m, int64_t rows, int64_t n) {
  const float* a = m.a;
  const float* b = m.b;
  float* c = m.c;
  for (int64_t j = 0; j < n;) {
    const int panels = panels_for(n - j, widest(rows));
    const int64_t width = n - j < 16 * panels ? n - j : 16 * panels;
    for (int64_t i = 0; i < rows; i += 4) {
      m.a = a + i * m.row_step;
      m.b = b + j / 16 * m.b_stride;
      m.c = c + i * m.ldc + j / 16 * m.c_stride;
      tile_any<false>(m, static_cast<int>(rows - i < 4 ? rows - i : 4), panels,
                      static_cast<int>(width - 16 * (panels - 1)));
    }
    j += width;
  }
}

void pack_rows(const float* x, int64_t ld, int64_t rows, int64_t k, float* out) {
  for (int64_t i = 0; i < rows;) {
    const int r = tile_rows(rows - i);
    float* to = out + i * k;
    int64_t j = 0;
    // Sixteen floats are written at each step, of which the next steps overwrite 16 - r; so the end
    // of a tile, where they would reach into the neighbour's (another thread may be packing it),
    // goes through a buffer.
    for (; r > 1 && j + 32 <= k; j += 16) transpose16(x + i * ld + j, ld, r, 16, to + j * r, r);
    for (; r > 1 && j < k; j += 16) {
      const int width = static_cast<int>(k - j < 16 ? k - j : 16);
      float block[16 * 16];
      transpose16(x + i * ld + j, ld, r, width, block, 16);
      for (int c = 0; c < width; ++c) {
        for (int l = 0; l < r; ++l) to[(j + c) * r + l] = block[16 * c + l];
      }
    }
    for (; j < k; ++j) to[j] = x[i * ld + j];  // a tile of one row
    i += r;
  }
}

void pack_cols(const float* x, int64_t ld, int64_t rows, int64_t cols, float* out) {
  for (int64_t j = 0; j < cols;) {
    const int r = tile_rows(cols - j);
    float* to = out + j * rows;
    for (int64_t i = 0; i < rows; ++i) store_n(to + i * r, load_n(x + i * ld + j, r), r);
    j += r;
  }
}

void pack_panels(const float* x, int64_t ld, int64_t rows, int64_t cols, float* out, int64_t p0,
                 int64_t p1) {
  for (int64_t p = p0; p < p1; ++p) {
    const int n = static_cast<int>(cols - 16 * p < 16 ? cols - 16 * p : 16);
    float* to = out + p * 16 * rows;
    for (int64_t i = 0; i < rows; ++i) store(to + 16 * i, load_n(x + i * ld + 16 * p, n));
  }
}

void gemm(const float* a, int64_t depth, int64_t rows, int64_t k0, const float* b, int64_t b_stride,
          int64_t k, float* c, int64_t c_stride, int64_t ldc, int64_t n, bool accumulate) {
  for (int64_t j = 0; j < n;) {
    const int panels = panels_for(n - j, widest(rows));
    const int64_t width = n - j < 16 * panels ? n - j : 16 * panels;
    for (int64_t i = 0; i < rows;) {
      const int r = tile_rows(rows - i);
      const Product m{a + i * depth + k0 * r,
                      1,
                      r,
                      b + j / 16 * b_stride,
                      b_stride,
                      16,
                      k,
                      c + i * ldc + j / 16 * c_stride,
                      c_stride,
                      ldc,
                      accumulate};
      tile_any<true>(m, r, panels, static_cast<int>(width - 16 * (panels - 1)));
      i += r;
    }
    j += width;
  }
}

void decode_f16(const void* in, float* out, int64_t count) {
  const uint16_t* from = static_cast<const uint16_t*>(in);
  for (int64_t i = 0; i < count; ++i) store(out + 16 * i, load_f16(from + 16 * i));
}

void decode_bf16(const void* in, float* out, int64_t count) {
  const uint16_t* from = static_cast<const uint16_t*>(in);
  for (int64_t i = 0; i < count; ++i) store(out + 16 * i, load_bf16(from + 16 * i));
}

void transpose_panels(const float* w, int64_t rows, int64_t cols, float* out, int64_t p0,
                      int64_t p1) {
  for (int64_t p = p0; p < p1; ++p) {  // panel p of the transpose: columns 16p .. 16p + 15 of w
    const int width = static_cast<int>(cols - 16 * p < 16 ? cols - 16 * p : 16);
    for (int64_t r = 0; r < rows; r += 16) {
      // In panel r / 16 column c of w is the vector at [c][16]; in the transpose row r of w is the
      // vector at [r][16].
      const int height = static_cast<int>(rows - r < 16 ? rows - r : 16);
      transpose16(w + r * cols + p * 16 * 16, 16, width, height, out + p * 16 * rows + r * 16, 16);
    }
  }
}

void append_keys(const float* k, int64_t ld, int64_t rows, int64_t dim, int64_t first,
                 float* panels) {
  for (int64_t i = 0; i < rows;) {
    const int64_t at = first + i;
    float* panel = panels + at / 16 * 16 * dim;
    if (at % 16 == 0 &&
        rows - i >
            1) {  // a fresh panel: lanes beyond the rows may be written, they are not keys yet
      const int count = static_cast<int>(rows - i < 16 ? rows - i : 16);
      for (int64_t d = 0; d < dim; d += 16) {
        transpose16(k + i * ld + d, ld, count, static_cast<int>(dim - d < 16 ? dim - d : 16),
                    panel + d * 16, 16);
      }
      i += count;
    } else {
      for (int64_t d = 0; d < dim; ++d) panel[d * 16 + at % 16] = k[i * ld + d];
      ++i;
    }
  }
}
