// Element-wise and row-wise kernels. Sums along a row use sixteen lanes (lane j adds elements j, j
// + 16, ...) and one fixed tree (reduce_add); sums over rows (weight gradients) are one chain per
// column in row order.

// e^x within 2 units in the last place: 2^n times a degree-6 polynomial (the classic Cephes expf
// coefficients) on
// [-ln 2 / 2, ln 2 / 2]. Below -87.3 the result is 0, above 88.3 that of 88.3; NaN stays NaN.
PONDER_INLINE F exp(F x0) {
  const F low = set1(-87.3f);
  const F x = max(low, min(set1(88.3f), x0));
  const F magic =
      set1(12582912.0f);  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const F biased = fma(x, set1(1.44269504f), magic);
  const F n = biased - magic;
  F r = fnma(n, set1(0.693359375f), x);
  r = fnma(n, set1(-2.12194440e-4f), r);
  F p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  const F y = fma(p, r * r, r) + set1(1.0f);
  return less_select(x0, low, zero(), shift_exponent(y, biased));
}

alignas(64) constexpr float kLanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// v in the first n lanes, fill in the others.
PONDER_INLINE F keep_n(F v, int64_t n, F fill) {
  return n >= 16 ? v : less_select(load(kLanes), set1(static_cast<float>(n)), v, fill);
}

PONDER_INLINE int tail(int64_t left) { return static_cast<int>(left < 16 ? left : 16); }

// out[i] = f(i, n) over [0, count) in vectors; n lanes are valid, and f loads with them.
template <typename Function>
PONDER_INLINE void map(int64_t count, float* out, Function f) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(out + i, f(i, 16));
  if (i < count) store_n(out + i, f(i, static_cast<int>(count - i)), static_cast<int>(count - i));
}

PONDER_INLINE F load_any(const float* p, int n) { return n == 16 ? load(p) : load_n(p, n); }

void add(const float* a, const float* b, float* out, int64_t count) {
  map(count, out, [&](int64_t i, int n) { return load_any(a + i, n) + load_any(b + i, n); });
}

void add_bias(float* x, const float* bias, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) add(x + r * cols, bias, x + r * cols, cols);
}

void bias_grad(const float* dy, int64_t rows, int64_t cols, float* sums, int64_t c0, int64_t c1) {
  for (int64_t c = c0; c < c1; c += 16) {
    const int n = tail(c1 - c);
    F sum = load_any(sums + c, n);
    for (int64_t r = 0; r < rows; ++r) sum = sum + load_any(dy + r * cols + c, n);
    store_n(sums + c, sum, n);
  }
}

void rms_norm(const float* x, const float* w, float eps, float* out, float* inverse, int64_t rows,
              int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * cols;
    F sum = zero();
    for (int64_t i = 0; i < cols; i += 16) {
      const F v = load_any(row + i, tail(cols - i));
      sum = fma(v, v, sum);
    }
    const float inv = 1.0f / __builtin_sqrtf(reduce_add(sum) / static_cast<float>(cols) + eps);
    if (inverse != nullptr) inverse[r] = inv;
    const F scale = set1(inv);
    map(cols, out + r * cols,
        [&](int64_t i, int n) { return load_any(row + i, n) * scale * load_any(w + i, n); });
  }
}

// With y = x v w, v = 1 / sqrt(mean(x^2) + eps): dx = v (w dy) - x v^3 / cols * sum(x w dy).
void rms_norm_grad(const float* x, const float* w, const float* inverse, const float* dy, float* dx,
                   bool accumulate, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* xr = x + r * cols;
    const float* dr = dy + r * cols;
    F sum = zero();
    for (int64_t i = 0; i < cols; i += 16) {
      const int n = tail(cols - i);
      sum = fma(load_any(xr + i, n), load_any(w + i, n) * load_any(dr + i, n), sum);
    }
    const float v = inverse[r];
    const F scale = set1(v);
    const F factor = set1(reduce_add(sum) * v * v * v / static_cast<float>(cols));
    map(cols, dx + r * cols, [&](int64_t i, int n) {
      const F g = load_any(w + i, n) * load_any(dr + i, n) * scale;
      const F d = fnma(load_any(xr + i, n), factor, g);
      return accumulate ? load_any(dx + r * cols + i, n) + d : d;
    });
  }
}

void rms_norm_weight_grad(const float* x, const float* inverse, const float* dy, float* dw,
                          int64_t rows, int64_t cols, int64_t c0, int64_t c1) {
  for (int64_t c = c0; c < c1; c += 16) {
    const int n = tail(c1 - c);
    F sum = load_any(dw + c, n);
    for (int64_t r = 0; r < rows; ++r) {
      const F xhat = load_any(x + r * cols + c, n) * set1(inverse[r]);
      sum = fma(load_any(dy + r * cols + c, n), xhat, sum);
    }
    store_n(dw + c, sum, n);
  }
}

void rope(const float* x, float* out, const int32_t* positions, const float* table, float sign,
          int64_t rows, int64_t heads, int64_t dim, bool accumulate) {
  const int64_t half = dim / 2;
  const F s = set1(sign);
  for (int64_t r = 0; r < rows; ++r) {
    const float* cosine = table + static_cast<int64_t>(positions[r]) * dim;
    const float* sine = cosine + half;
    for (int64_t h = 0; h < heads; ++h) {
      const float* from = x + (r * heads + h) * dim;
      float* to = out + (r * heads + h) * dim;
      for (int64_t i = 0; i < half; i += 16) {
        const int n = tail(half - i);
        const F a = load_any(from + i, n), b = load_any(from + half + i, n);
        const F c = load_any(cosine + i, n), t = load_any(sine + i, n) * s;
        F y = fnma(b, t, a * c), z = fma(a, t, b * c);
        if (accumulate) {
          y = load_any(to + i, n) + y;
          z = load_any(to + half + i, n) + z;
        }
        store_n(to + i, y, n);
        store_n(to + half + i, z, n);
      }
    }
  }
}

PONDER_INLINE F sigmoid(F x) { return set1(1.0f) / (set1(1.0f) + exp(zero() - x)); }

void swiglu(const float* gate, const float* up, float* out, int64_t count) {
  map(count, out, [&](int64_t i, int n) {
    const F g = load_any(gate + i, n);
    return g * sigmoid(g) * load_any(up + i, n);
  });
}

void swiglu_grad(const float* gate, const float* up, const float* d_out, float* d_gate,
                 bool acc_gate, float* d_up, bool acc_up, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    const int n = tail(count - i);
    const F g = load_any(gate + i, n), u = load_any(up + i, n), d = load_any(d_out + i, n);
    const F s = sigmoid(g);
    const F silu = g * s;
    F du = d * silu;
    F dg = d * u * fma(silu, set1(1.0f) - s, s);  // silu' = s + g s (1 - s)
    if (acc_up) du = load_any(d_up + i, n) + du;
    store_n(d_up + i, du, n);
    if (acc_gate) dg = load_any(d_gate + i, n) + dg;  // d_gate may be d_up: after its store
    store_n(d_gate + i, dg, n);
  }
}

PONDER_INLINE float row_max(const float* x, int64_t n) {
  const F lowest = set1(-__builtin_inff());
  F top = lowest;
  for (int64_t i = 0; i < n; i += 16) {
    top = max(keep_n(load_any(x + i, tail(n - i)), n - i, lowest), top);
  }
  return reduce_max(top);
}

LogprobRow logprob_row(float* logits, int64_t n, int32_t target, float inverse_temperature) {
  const F scale = set1(inverse_temperature);
  if (inverse_temperature != 1.0f) {
    map(n, logits, [&](int64_t i, int lanes) { return load_any(logits + i, lanes) * scale; });
  }
  const float top = row_max(logits, n);
  F sum = zero(), plain = zero(), weighted = zero();
  for (int64_t i = 0; i < n; i += 16) {
    const F l = load_any(logits + i, tail(n - i));
    const F e = keep_n(exp(l - set1(top)), n - i, zero());
    sum = sum + e;
    plain = plain + l;
    weighted = fma(e, l, weighted);
  }
  const float total = reduce_add(sum);
  LogprobRow out;
  out.lse = top + static_cast<float>(log_f64(static_cast<double>(total)));
  out.logprob = logits[target] - out.lse;
  out.mean = reduce_add(plain) / static_cast<float>(n) - out.lse;
  out.entropy = out.lse - reduce_add(weighted) / total;
  return out;
}

void logprob_row_grad(float* logits, int64_t n, int32_t target, float lse,
                      float inverse_temperature, float d_logprob, float d_lse, float d_mean) {
  const F p_factor = set1((d_lse - d_logprob - d_mean) * inverse_temperature);
  const F uniform = set1(d_mean / static_cast<float>(n) * inverse_temperature);
  map(n, logits, [&](int64_t i, int lanes) {
    return fma(p_factor, exp(load_any(logits + i, lanes) - set1(lse)), uniform);
  });
  logits[target] += d_logprob * inverse_temperature;
}

void softmax_weights(const float* logits, int64_t n, float inverse_temperature, float* out) {
  const F scale = set1(inverse_temperature);
  const F top = set1(row_max(logits, n) * inverse_temperature);
  map(n, out, [&](int64_t i, int lanes) { return exp(load_any(logits + i, lanes) * scale - top); });
}

void exp_array(const float* x, float* out, int64_t count) {
  map(count, out, [&](int64_t i, int n) { return exp(load_any(x + i, n)); });
}
