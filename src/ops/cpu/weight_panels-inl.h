// Panels of FP8 and GPTQ weights (ops/panels_fp8.h, ops/panels_gptq.h): to float32, and products with one
// or two rows without a detour through memory. A weight is one product, rounded once, in every lane, and
// an output one chain of fused multiply-adds over the inputs in order: the bits of gemm-inl.h over the
// decoded panel.

// 32 inputs of a panel, from input c on, in runs of kRun: at(run, i) is input kRun * run + i.

struct Fp8Step {
  static constexpr int kRun = 32;
  PONDER_INLINE void start(const CodedPanels& w, int64_t panel, int64_t c) {
    float x;
    __builtin_memcpy(&x, w.scales + panel * w.stride + c / 128 * 4, sizeof x);
    scale = set1(256.0f * x);  // with what load_f8() leaves out
    codes = w.codes + panel * w.stride + 16 * c;
  }
  PONDER_INLINE F at(int, int i) const { return load_f8(codes + 16 * i) * scale; }
  F scale;
  const uint8_t* codes;
};

template <int kBits, bool kHalf, bool kShuffled>
struct GptqStep {
  static constexpr int kRun = kBits == 3 ? 4 : 4 * kBits;
  PONDER_INLINE void start(const CodedPanels& w, int64_t panel, int64_t c) {
    scales = w.scales + panel * w.stride;
    zeros = w.zeros + panel * w.stride;
    codes = w.codes + panel * w.stride + c / 32 * (64 * kBits);
    if (kShuffled) {
      group_of = w.group_of + c;
    } else {
      scale = scale_of(c / w.group);
      zero_point = widen_u8(zeros + 16 * (c / w.group));
    }
  }
  PONDER_INLINE F at(int run, int i) const {
    if constexpr (!kShuffled) return scale * to_float(code(run, i) - zero_point);
    const int64_t group = group_of[kRun * run + i];
    return scale_of(group) * to_float(code(run, i) - widen_u8(zeros + 16 * group));
  }

 private:
  PONDER_INLINE F scale_of(int64_t group) const {
    const uint8_t* from = scales + 16 * (kHalf ? 2 : 4) * group;
    if constexpr (kHalf) return load_f16(reinterpret_cast<const uint16_t*>(from));
    return load(reinterpret_cast<const float*>(from));
  }
  PONDER_INLINE I code(int run, int i) const {
    if constexpr (kBits == 8) return widen_u8(codes + 16 * i);
    if constexpr (kBits == 4) return field(i, 4 * run, 15);
    if constexpr (kBits == 2) return field(i, 2 * run, 3);
    return field(run % 2 * 4 + i, run / 2 * 2, 3) | shift_left(field(8 + i, run, 1), 2);
  }
  PONDER_INLINE I field(int row, int shift, int32_t mask) const {
    return shift_right(widen_u8(codes + 16 * row), shift) & iset1(mask);
  }

  const uint8_t *scales, *zeros, *codes;
  const int32_t* group_of;
  F scale;
  I zero_point;
};

template <class Step>
void decode_steps(const CodedPanels& w, int64_t panel, int64_t first, int64_t count, float* out) {
  for (int64_t c = first; c < first + count; c += 32) {
    Step step;
    step.start(w, panel, c);
    const int64_t left = first + count - c;
    if (left < 32) {  // FP8 alone has rows of any length
      for (int i = 0; i < left; ++i, out += 16) store(out, step.at(0, i));
      return;
    }
#pragma GCC unroll 8
    for (int run = 0; run < 32 / Step::kRun; ++run) {
#pragma GCC unroll 4
      for (int i = 0; i < Step::kRun; ++i, out += 16) store(out, step.at(run, i));
    }
  }
}

template <class Step, int R, int P>
inline void coded_panels(const CodedPanels& w, const CodedProduct& m, int64_t panel, int n_last) {
  F acc[R][P];
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) acc[r][p] = zero();
  }
  const float* x = m.x;
  for (int64_t c = 0; c < m.k; c += 32) {
    Step step[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) step[p].start(w, m.first + panel + p, c);
#pragma GCC unroll 8
    for (int run = 0; run < 32 / Step::kRun; ++run) {
#pragma GCC unroll 4
      for (int i = 0; i < Step::kRun; ++i, x += R) {
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) {
          const F weight = step[p].at(run, i);
#pragma GCC unroll 2
          for (int r = 0; r < R; ++r) acc[r][p] = fma(set1(x[r]), weight, acc[r][p]);
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      store_n(m.y + r * m.ldy + 16 * (panel + p), acc[r][p], p == P - 1 ? n_last : 16);
    }
  }
}

template <class Step, int R>
void coded_rows(const CodedPanels& w, const CodedProduct& m) {
  int64_t j = 0;
  for (; m.n - j > 16 * (kCodedPanels - 1); j += 16 * kCodedPanels) {
    coded_panels<Step, R, kCodedPanels>(w, m, j / 16, tail(m.n - j - 16 * (kCodedPanels - 1)));
  }
  for (; j < m.n; j += 16) coded_panels<Step, R, 1>(w, m, j / 16, tail(m.n - j));
}

// Calls f(step) with the kind of steps that w has.
template <bool kHalf, bool kShuffled, typename Function>
PONDER_INLINE void with_bits(const CodedPanels& w, Function f) {
  switch (w.bits) {
    case 2:
      return f(GptqStep<2, kHalf, kShuffled>());
    case 3:
      return f(GptqStep<3, kHalf, kShuffled>());
    case 4:
      return f(GptqStep<4, kHalf, kShuffled>());
    default:
      return f(GptqStep<8, kHalf, kShuffled>());
  }
}
template <typename Function>
PONDER_INLINE void with_step(const CodedPanels& w, Function f) {
  if (w.bits == 0) return f(Fp8Step());
  const bool shuffled = w.group_of != nullptr;
  if (w.half_scales) {
    return shuffled ? with_bits<true, true>(w, f) : with_bits<true, false>(w, f);
  }
  return shuffled ? with_bits<false, true>(w, f) : with_bits<false, false>(w, f);
}

void decode_coded(const CodedPanels& w, int64_t panel, int64_t first, int64_t count, float* out) {
  with_step(w, [&](auto step) { decode_steps<decltype(step)>(w, panel, first, count, out); });
}

void coded_product(const CodedPanels& w, const CodedProduct& m) {
  with_step(w, [&](auto step) {
    if (m.rows == 1) {
      coded_rows<decltype(step), 1>(w, m);
    } else {
      coded_rows<decltype(step), 2>(w, m);
    }
  });
}
