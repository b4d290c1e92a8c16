// Softmax attention of rows that share keys, two passes over a tile of rows: all scores, then the
// weighted sum of values. Each score is one chain over head_dim, the normaliser sixteen lanes over key
// positions and a fixed tree, each output one chain over positions 0, 1, 2, ...; masked keys add an
// exact zero. So a row's bits depend on its own keys alone: not on the tile, the page size, or
// whether it came in a prompt, one at a time, or in a training batch.

constexpr int64_t kQueryTile = 24;  // whole microkernel tiles of every instruction set
// Latent values are transposed for each tile, so a larger one pays.
constexpr int64_t kLatentTile = 32;
constexpr int64_t kRun = 64;  // positions whose values are weighed at a time
static_assert(kRun == kDecodedKeys);

PONDER_INLINE int64_t round16(int64_t n) { return (n + 15) / 16 * 16; }

// Floats per row of scores: a page of keys that starts at any position may write up to 15 past its
// last.
PONDER_INLINE int64_t score_stride(int64_t keys) { return round16(keys) + 16; }

int64_t attention_scratch(int64_t rows, int64_t keys, int64_t head_dim, int64_t latent_dim) {
  const int64_t tile = latent_dim > 0 ? kLatentTile : kQueryTile;
  const int64_t count = rows < tile ? rows : tile;
  const int64_t scores = latent_dim > 0 ? 1 : 2;  // the gradient needs two
  return count * (scores * score_stride(keys) + head_dim + kRun) + kRun * round16(latent_dim);
}

// The left side of a product: rows `ld` apart, or packed (pack_rows).
struct Rows {
  const float* data;
  int64_t ld, count;
  bool packed;
};

// Packed if that pays. memory: count * k floats.
PONDER_INLINE Rows rows_of(const float* x, int64_t ld, int64_t count, int64_t k, float* memory) {
  if (count < 8) return {x, ld, count, false};
  pack_rows(x, ld, count, k, memory);
  return {memory, ld, count, true};
}

// c (rows, n) = or += a * b; m says all but a. The same chains, packed or not.
inline void product_of(const Rows& a, Product m, int64_t n) {
  if (!a.packed) {
    m.a = a.data;
    m.row_step = a.ld;
    m.k_step = 1;
    return product(m, a.count, n);
  }
  const float* b = m.b;
  float* c = m.c;
  m.row_step = 1;
  for (int64_t j = 0; j < n; j += 16 * kMaxPanels) {
    const int panels = panels_for(n - j, kMaxPanels);
    const int64_t last = n - j - 16 * (panels - 1);
    m.b = b + j / 16 * m.b_stride;
    for (int64_t i = 0; i < a.count;) {
      const int r = tile_rows(a.count - i);
      m.a = a.data + i * m.k;
      m.k_step = r;
      m.c = c + i * m.ldc + j / 16 * m.c_stride;
      tile_any<true>(m, r, panels, tail(last));
      i += r;
    }
  }
}

// Consecutive positions in one page.
struct KeyRun {
  const float* keys;
  const float* values;
  int64_t count;
};

// The run that starts at `position`, the first of its page, and ends before `end`.
PONDER_INLINE KeyRun key_run(const AttentionPages& p, int64_t position, int64_t end) {
  const bool shared = position < p.prefix_keys;
  const int64_t page = shared ? position / p.page_keys
                              : (p.prefix_keys + p.page_keys - 1) / p.page_keys +
                                    (position - p.prefix_keys) / p.page_keys;
  const int64_t limit = shared && p.prefix_keys < end ? p.prefix_keys : end;
  const int64_t left = limit - position;
  const float* keys = p.base + p.table[page] * p.page_stride;
  return {keys, keys + p.value_offset, left < p.page_keys ? left : p.page_keys};
}

// `count` stored 16-bit floats to float32, whole vectors.
inline void decode_halves(DType type, const float* from, int64_t first, int64_t count, float* out) {
  const auto* halves = reinterpret_cast<const uint16_t*>(from) + first;
  if (type == DType::kF16) {
    for (int64_t i = 0; i < count; i += 16) store(out + i, load_f16(halves + i));
  } else {
    for (int64_t i = 0; i < count; i += 16) store(out + i, load_bf16(halves + i));
  }
}

// Keys of positions [first, first + count) of a page to float32 panels. REQUIRES: multiples of 16
inline void decode_keys(const AttentionPages& p, const float* keys, int64_t first, int64_t count,
                        int64_t dim, float* out) {
  if (p.type != DType::kQ8_0) return decode_halves(p.type, keys, first * dim, count * dim, out);
  const auto* codes = reinterpret_cast<const uint8_t*>(keys);
  const int64_t blocks = (dim + 31) / 32;
  const float* scales = keys + p.page_keys * dim / 4 + first * blocks;
  for (int64_t i = 0; i < count; i += 16) {
    const uint8_t* panel = codes + (first + i) * dim;
    for (int64_t d0 = 0; d0 < dim; d0 += 32) {
      const F scale = load(scales + i * blocks + d0 / 32 * 16);
      const int64_t end = dim - d0 < 32 ? dim : d0 + 32;
      for (int64_t d = d0; d < end; ++d) {
        store(out + i * dim + d * 16, to_float(widen_i8(panel + d * 16)) * scale);
      }
    }
  }
}

// Values of positions [first, first + count) to float32 rows. REQUIRES: first is a multiple of 16
inline void decode_values(const AttentionPages& p, const float* values, int64_t first,
                          int64_t count, int64_t dim, float* out) {
  if (p.type != DType::kQ8_0) return decode_halves(p.type, values, first * dim, count * dim, out);
  const auto* codes = reinterpret_cast<const uint8_t*>(values) + first * dim;
  const int64_t blocks = (dim + 31) / 32;
  const float* scales = values + p.page_keys * dim / 4 + first * blocks;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t d = 0; d < dim; d += 16) {  // codes past a row are those of the next, or scales
      const F x = to_float(widen_i8(codes + i * dim + d)) * set1(scales[i * blocks + d / 32]);
      if (dim - d >= 16) {
        store(out + i * dim + d, x);
      } else {
        store_n(out + i * dim + d, x, tail(dim - d));
      }
    }
  }
}

// Scores of rows [i0, i0 + count) into s (count, lds); columns past a row's last key are garbage.
// packed: count * head_dim floats.
inline void scores(const AttentionArgs& a, int64_t i0, int64_t count, int64_t keys, float* s,
                   int64_t lds, float* packed) {
  const Rows q = rows_of(a.q + i0 * a.q_ld, a.q_ld, count, a.head_dim, packed);
  for (int64_t first = 0; first < keys;) {
    const KeyRun run = key_run(a.pages, first, keys);
    const bool stored = a.pages.type == DType::kF32;
    const int64_t step = stored ? run.count : kRun;
    for (int64_t i = 0; i < run.count; i += step) {
      const int64_t n = round16(run.count - i < step ? run.count - i : step);
      if (!stored) decode_keys(a.pages, run.keys, i, n, a.head_dim, a.decoded);
      product_of(q,
                 {nullptr, 0, 0, stored ? run.keys : a.decoded, 16 * a.head_dim, 16, a.head_dim,
                  s + first + i, 16, lds, false},
                 n);
    }
    first += run.count;
  }
}

// exp(scale * (s - max)) in place over the row's n keys, zeros up to `padded`. Returns the sum.
PONDER_INLINE float softmax_row(float* s, int64_t n, int64_t padded, float scale) {
  const F low = set1(row_max(s, n) * scale), factor = set1(scale);
  F sum = zero();
  int64_t i = 0;
  for (; i < n; i += 16) {
    const F e = keep_n(exp(fma(load(s + i), factor, zero() - low)), n - i, zero());
    store(s + i, e);
    sum = sum + e;
  }
  for (; i < padded; i += 16) store(s + i, zero());
  return reduce_add(sum);
}

// Positions [first, first + count) of key panels -> values in panels of 16 columns, [count][16].
// REQUIRES: first is a multiple of 16
inline void latent_values(const float* keys, int64_t first, int64_t count, int64_t head_dim,
                          int64_t value_dim, float* values) {
  for (int64_t i = 0; i < count; i += 16) {
    const float* panel = keys + (first + i) * head_dim;
    for (int64_t d = 0; d < value_dim; d += 16) {
      transpose16(panel + d * 16, 16, tail(value_dim - d), tail(count - i),
                  values + d * count + i * 16, 16);
    }
  }
}

// out (count, value_dim) = or, after the first run, += weights s * values of one run. memory: what
// attention_scratch() has beyond scores and queries.
inline void weigh_values(const AttentionArgs& a, const KeyRun& run, int64_t first, const float* s,
                         int64_t lds, int64_t count, float* memory, float* out) {
  for (int64_t i = 0; i < run.count; i += kRun) {
    const int64_t n = run.count - i < kRun ? run.count - i : kRun;
    const Rows weights = rows_of(s + first + i, lds, count, n, memory);
    const bool stored = a.pages.type == DType::kF32;
    const float* values = stored ? run.values + i * a.value_dim : a.decoded;
    if (a.latent) {
      float* made = memory + count * kRun;
      if (!stored) decode_keys(a.pages, run.keys, i, round16(n), a.head_dim, a.decoded);
      latent_values(stored ? run.keys : a.decoded, stored ? i : 0, n, a.head_dim, a.value_dim,
                    made);
      values = made;
    } else if (!stored) {
      decode_values(a.pages, run.values, i, n, a.value_dim, a.decoded);
    }
    product_of(weights,
               {nullptr, 0, 0, values, a.latent ? 16 * n : 16, a.latent ? 16 : a.value_dim, n, out,
                16, a.out_ld, first + i > 0},
               a.value_dim);
  }
}

void attention(const AttentionArgs& a) {
  const int64_t tile = a.latent ? kLatentTile : kQueryTile;
  for (int64_t i0 = 0; i0 < a.rows; i0 += tile) {
    const int64_t count = a.rows - i0 < tile ? a.rows - i0 : tile;
    const int64_t first_keys = a.first_position + i0 * a.advance + 1;
    const int64_t keys = first_keys + (count - 1) * a.advance;
    const int64_t lds = score_stride(keys);
    float* s = a.scratch;
    float sums[kLatentTile];
    float* memory = s + count * lds;
    scores(a, i0, count, keys, s, lds, memory);
    for (int64_t i = 0; i < count; ++i) {
      sums[i] = softmax_row(s + i * lds, first_keys + i * a.advance, lds, a.scale);
    }
    float* out = a.out + i0 * a.out_ld;
    for (int64_t first = 0; first < keys;) {
      const KeyRun run = key_run(a.pages, first, keys);
      weigh_values(a, run, first, s, lds, count, memory, out);
      first += run.count;
    }
    for (int64_t i = 0; i < count; ++i) {
      const F inverse = set1(1.0f / sums[i]);
      float* row = out + i * a.out_ld;
      // Adding zero makes -0 (a chain that ended in masked keys) and +0 the same.
      map(a.value_dim, row,
          [&](int64_t d, int n) { return fma(load_any(row + d, n), inverse, zero()); });
    }
  }
}

void attention_grad(const AttentionGradArgs& g) {
  const AttentionArgs& a = g.forward;
  for (int64_t i0 = 0; i0 < a.rows; i0 += kQueryTile) {
    const int64_t count = a.rows - i0 < kQueryTile ? a.rows - i0 : kQueryTile;
    const int64_t keys = a.first_position + i0 + count;
    const int64_t lds = round16(keys);
    float* p = a.scratch;
    float* ds = p + count * lds;
    const float* q = a.q + i0 * a.q_ld;
    const float* d_out = g.d_out + i0 * a.out_ld;
    scores(a, i0, count, keys, p, lds, ds + count * lds);
    product({d_out, a.out_ld, 1, g.v_panels, 16 * a.value_dim, 16, a.value_dim, ds, 16, lds, false},
            count, lds);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t n = a.first_position + i0 + i + 1;
      float* pr = p + i * lds;
      float* dr = ds + i * lds;
      const F inverse = set1(1.0f / softmax_row(pr, n, lds, a.scale));
      // Sum over keys of p dp = d_out . out
      const F mean = set1(dot(d_out + i * a.out_ld, a.out + (i0 + i) * a.out_ld, a.value_dim));
      const F factor = set1(a.scale);
      for (int64_t k = 0; k < lds; k += 16) {
        const F w = load(pr + k) * inverse;
        store(pr + k, w);
        store(dr + k, keep_n(w * (load(dr + k) - mean) * factor, n - k, zero()));
      }
    }
    product({ds, lds, 1, g.k_rows, 16, a.head_dim, keys, g.d_q + i0 * a.q_ld, 16, a.q_ld,
             g.accumulate_q},
            count, a.head_dim);
    product({ds, 1, lds, q, 16, a.q_ld, count, g.d_k, 16, a.head_dim, true}, keys, a.head_dim);
    product({p, 1, lds, d_out, 16, a.out_ld, count, g.d_v, 16, a.value_dim, true}, keys,
            a.value_dim);
  }
}
