// Softmax attention of one head, two passes over a tile of queries: all scores, then the weighted
// sum of values. Each score is one chain over head_dim, the normaliser sixteen lanes over key
// positions and a fixed tree, each output one chain over positions 0, 1, 2, ...; masked keys add an
// exact zero. So a query's bits depend on its own keys alone: not on the tile, the page size, or
// whether it came in a prompt, one at a time, or in a training batch.

constexpr int64_t kQueryTile = 16;

PONDER_INLINE int64_t round16(int64_t n) { return (n + 15) / 16 * 16; }

int64_t attention_scratch(int64_t rows, int64_t keys) {
  return 2 * (rows < kQueryTile ? rows : kQueryTile) * round16(keys);
}

PONDER_INLINE const float* page_keys(const AttentionPages& p, int64_t position) {
  return p.base + p.table[position / p.page_keys] * p.page_stride;
}
PONDER_INLINE const float* page_values(const AttentionPages& p, int64_t position) {
  return page_keys(p, position) + p.value_offset;
}

// Scores of queries [i0, i0 + count) into s (count, lds); columns past a row's last key are
// garbage.
inline void scores(const AttentionArgs& a, int64_t i0, int64_t count, int64_t keys, float* s,
                   int64_t lds) {
  for (int64_t first = 0; first < keys; first += a.pages.page_keys) {
    const int64_t left = keys - first;
    const int64_t n = round16(left < a.pages.page_keys ? left : a.pages.page_keys);
    product({a.q + i0 * a.ld, a.ld, 1, page_keys(a.pages, first), 16 * a.head_dim, 16, a.head_dim,
             s + first, 16, lds, false},
            count, n);
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

void attention(const AttentionArgs& a) {
  for (int64_t i0 = 0; i0 < a.rows; i0 += kQueryTile) {
    const int64_t count = a.rows - i0 < kQueryTile ? a.rows - i0 : kQueryTile;
    const int64_t keys = a.first_position + i0 + count;
    const int64_t lds = round16(keys);
    float* s = a.scratch;
    float sums[kQueryTile];
    scores(a, i0, count, keys, s, lds);
    for (int64_t i = 0; i < count; ++i) {
      sums[i] = softmax_row(s + i * lds, a.first_position + i0 + i + 1, lds, a.scale);
    }
    float* out = a.out + i0 * a.ld;
    for (int64_t first = 0; first < keys; first += a.pages.page_keys) {
      const int64_t left = keys - first;
      product({s + first, lds, 1, page_values(a.pages, first), 16, a.head_dim,
               left < a.pages.page_keys ? left : a.pages.page_keys, out, 16, a.ld, first > 0},
              count, a.head_dim);
    }
    for (int64_t i = 0; i < count; ++i) {
      const F inverse = set1(1.0f / sums[i]);
      float* row = out + i * a.ld;
      // Adding zero makes -0 (a chain that ended in masked keys) and +0 the same.
      map(a.head_dim, row,
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
    const float* q = a.q + i0 * a.ld;
    const float* d_out = g.d_out + i0 * a.ld;
    scores(a, i0, count, keys, p, lds);
    product({d_out, a.ld, 1, g.v_panels, 16 * a.head_dim, 16, a.head_dim, ds, 16, lds, false},
            count, lds);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t n = a.first_position + i0 + i + 1;
      float* pr = p + i * lds;
      float* dr = ds + i * lds;
      const F inverse = set1(1.0f / softmax_row(pr, n, lds, a.scale));
      F dot = zero();  // sum over keys of p dp = d_out . out
      for (int64_t d = 0; d < a.head_dim; d += 16) {
        const int m = tail(a.head_dim - d);
        dot = fma(load_any(d_out + i * a.ld + d, m), load_any(a.out + (i0 + i) * a.ld + d, m), dot);
      }
      const F mean = set1(reduce_add(dot)), scale = set1(a.scale);
      for (int64_t k = 0; k < lds; k += 16) {
        const F w = load(pr + k) * inverse;
        store(pr + k, w);
        store(dr + k, keep_n(w * (load(dr + k) - mean) * scale, n - k, zero()));
      }
    }
    product(
        {ds, lds, 1, g.k_rows, 16, a.head_dim, keys, g.d_q + i0 * a.ld, 16, a.ld, g.accumulate_q},
        count, a.head_dim);
    product({ds, 1, lds, q, 16, a.ld, count, g.d_k, 16, a.head_dim, true}, keys, a.head_dim);
    product({p, 1, lds, d_out, 16, a.ld, count, g.d_v, 16, a.head_dim, true}, keys, a.head_dim);
  }
}
