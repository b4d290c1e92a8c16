// Kernels of latent attention and of experts: rotary pairs side by side, weighted sums of rows.

void rope_neighbours(const float* x, float* out, const int32_t* positions, const float* table,
                     float sign, int64_t rows, int64_t heads, int64_t dim, bool accumulate) {
  const int64_t half = dim / 2;
  for (int64_t r = 0; r < rows; ++r) {
    const float* cosine = table + static_cast<int64_t>(positions[r]) * dim;
    const float* sine = cosine + half;
    for (int64_t h = 0; h < heads; ++h) {
      const float* from = x + (r * heads + h) * dim;
      float* to = out + (r * heads + h) * dim;
      for (int64_t i = 0; i < half; ++i) {
        const float a = from[2 * i], b = from[2 * i + 1], t = sine[i] * sign;
        const float y = __builtin_fmaf(-b, t, a * cosine[i]);
        const float z = __builtin_fmaf(a, t, b * cosine[i]);
        to[2 * i] = accumulate ? to[2 * i] + y : y;
        to[2 * i + 1] = accumulate ? to[2 * i + 1] + z : z;
      }
    }
  }
}

void add_scaled(float factor, const float* x, float* out, int64_t count) {
  const F f = set1(factor);
  map(count, out,
      [&](int64_t i, int n) { return fma(f, load_any(x + i, n), load_any(out + i, n)); });
}

void scaled(float factor, const float* x, float* out, int64_t count) {
  const F f = set1(factor);
  map(count, out, [&](int64_t i, int n) { return f * load_any(x + i, n); });
}

float dot(const float* a, const float* b, int64_t count) {
  F sum = zero();
  for (int64_t i = 0; i < count; i += 16) {
    const int n = tail(count - i);
    sum = fma(load_any(a + i, n), load_any(b + i, n), sum);
  }
  return reduce_add(sum);
}
