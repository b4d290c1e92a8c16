// Softmax attention of one head, two passes over a tile of queries: all scores, then the weighted
// sum of values. Each score is one chain over head_dim, the normaliser sixteen lanes over key
// positions and a fixed tree, each output one chain over positions 0, 1, 2, ...; masked keys add an
// exact zero. So a query's bits depend on its own keys alone: not on the tile, the page size, or
// whether it came in a prompt, one at a time, or in a training batch.

constexpr int64_t kQueryTile = 16;

PONDER_INLINE int64_t round16(int64_t n) { return (n + 15) / 16 * 16; }

// Floats per row of scores: a page of keys that starts at any position may write up to 15 past its
// last.
PONDER_INLINE int64_t score_stride(int64_t keys) { return round16(keys) + 16; }

int64_t attention_scratch(int64_t rows, int64_t keys) {
  return 2 * (rows < kQueryTile ? rows : kQueryTile) * score_stride(keys);
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

// Scores of queries [i0, i0 + count) into s (count, lds); columns past a row's last key are
// garbage.
inline void scores(const AttentionArgs& a, int64_t i0, int64_t count, int64_t keys, float* s,
                   int64_t lds) {
  for (int64_t first = 0; first < keys;) {
    const KeyRun run = key_run(a.pages, first, keys);
    product({a.q + i0 * a.ld, a.ld, 1, run.keys, 16 * a.head_dim, 16, a.head_dim, s + first, 16,
             lds, false},
            count, round16(run.count));
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

void attention(const AttentionArgs& a) {
  for (int64_t i0 = 0; i0 < a.rows; i0 += kQueryTile) {
    const int64_t count = a.rows - i0 < kQueryTile ? a.rows - i0 : kQueryTile;
    const int64_t keys = a.first_position + i0 + count;
    const int64_t lds = score_stride(keys);
    float* s = a.scratch;
    float sums[kQueryTile];
    scores(a, i0, count, keys, s, lds);
    for (int64_t i = 0; i < count; ++i) {
      sums[i] = softmax_row(s + i * lds, a.first_position + i0 + i + 1, lds, a.scale);
    }
    float* out = a.out + i0 * a.ld;
    for (int64_t first = 0; first < keys;) {
      const KeyRun run = key_run(a.pages, first, keys);
      product({s + first, lds, 1, run.values, 16, a.head_dim, run.count, out, 16, a.ld, first > 0},
              count, a.head_dim);
      first += run.count;
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
