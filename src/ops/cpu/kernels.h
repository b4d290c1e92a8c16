// The kernels of one instruction set as a table of functions. All are single-threaded and work on a
// range that the op front-ends (ops/*.cc) hand to each thread; none allocates; scratch comes from
// the caller. The arithmetic order of every output element is fixed (docs/numerics.md) and does not
// depend on the range.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace ponder {

// One head's keys and values: page i of the sequence at base + table[i] * page_stride holds page_keys
// positions (a multiple of 16): keys as panels of 16 positions, [head_dim][16], then at
// value_offset the values in rows of head_dim. If the first prefix_keys positions are shared with
// other sequences, their last page is not filled up: position prefix_keys starts a page of its own.
struct AttentionPages {
  const float* base;
  const int32_t* table;
  int64_t page_stride, value_offset, page_keys, prefix_keys;
};

struct AttentionArgs {
  const float* q;  // row i of head h at q + i * ld + h * head_dim
  float* out;      // likewise
  int64_t ld;
  int64_t rows;            // consecutive queries
  int64_t first_position;  // of the first; query i sees positions 0 .. first_position + i
  int64_t head_dim;
  float scale;
  AttentionPages pages;
  float* scratch;  // attention_scratch(rows, keys) floats
};

// Gradients of the same for one head, its keys in one page. dk and dv: rows of head_dim per key
// position, added to.
struct AttentionGradArgs {
  AttentionArgs forward;  // out holds the forward result
  const float* k_rows;    // (keys, head_dim), the keys again as plain rows
  const float* v_panels;  // the values as panels of 16 positions, [head_dim][16]
  const float* d_out;     // as out
  float* d_q;             // as q, overwritten or added to
  bool accumulate_q;
  float* d_k;  // (keys, head_dim), added to
  float* d_v;  // (keys, head_dim), added to
};

struct LogprobRow {
  float logprob;  // of the target
  float lse;      // log of the sum of exp(logits)
  float mean;     // mean of the log-probabilities over all classes
  float entropy;  // in nats
};

struct Kernels {
  const char* isa;
  int max_rows;  // of a microkernel tile

  // Rows [0, rows) of x (leading dimension ld), k columns, into tiles [k][r] of r = max_rows rows
  // each, then of the largest of 8, 4, 2, 1 that is left; the tile of row i starts at out + i * k.
  void (*pack_rows)(const float* x, int64_t ld, int64_t rows, int64_t k, float* out);
  // The transpose: columns [0, cols) of x over `rows` rows into tiles [rows][r]; the tile of column
  // j at out + j * rows.
  void (*pack_cols)(const float* x, int64_t ld, int64_t rows, int64_t cols, float* out);
  // Columns of x (rows, cols) as panels [rows][16], zeros past the last column. Panels [p0, p1).
  void (*pack_panels)(const float* x, int64_t ld, int64_t rows, int64_t cols, float* out,
                      int64_t p0, int64_t p1);
  // c (rows, n) = or += a * b, each element one fma chain over k in order. a: packed tiles as
  // above, `depth` steps deep, of which steps [k0, k0 + k) are used; b: panels of those steps,
  // [k][16], panel p at b + p * b_stride; c: panel p at c + p * c_stride with row stride ldc; the
  // last panel has n - 16 (panels - 1) columns.
  void (*gemm)(const float* a, int64_t depth, int64_t rows, int64_t k0, const float* b,
               int64_t b_stride, int64_t k, float* c, int64_t c_stride, int64_t ldc, int64_t n,
               bool accumulate);
  // Converts `count` panel vectors of 16 to float32.
  void (*decode_f16)(const void* in, float* out, int64_t count);
  void (*decode_bf16)(const void* in, float* out, int64_t count);
  // q8_0 (quant/q8_0.h): activations to int8 blocks of 32, then exact integer dots, one fma per
  // block in block order. Panel: per block of 32 inputs 16 f32 scales, then [8][16][4] bytes.
  void (*quantize_q8)(const float* x, int64_t k, int8_t* q, float* scales);
  void (*gemm_q8)(const int8_t* q, const float* scales, int64_t rows, int64_t k, const void* panel,
                  float* y, int64_t ldy, int64_t n);
  // 16 x 16 blocks: panels of w (rows, cols) to panels of its transpose. Panels [p0, p1) of the
  // transpose.
  void (*transpose_panels)(const float* w, int64_t rows, int64_t cols, float* out, int64_t p0,
                           int64_t p1);
  // Rows of k (leading dimension ld) of positions [first, first + rows) into key panels at `panels`
  // ([dim][16] each).
  void (*append_keys)(const float* k, int64_t ld, int64_t rows, int64_t dim, int64_t first,
                      float* panels);

  // Row-wise ops on `rows` rows of `cols`.
  void (*add)(const float* a, const float* b, float* out, int64_t count);
  void (*add_bias)(float* x, const float* bias, int64_t rows, int64_t cols);
  // sums[j] += over rows of dy[i][j], columns [c0, c1).
  void (*bias_grad)(const float* dy, int64_t rows, int64_t cols, float* sums, int64_t c0,
                    int64_t c1);
  // out = x * inverse * w, inverse = 1 / sqrt(mean(x^2) + eps), stored per row.
  void (*rms_norm)(const float* x, const float* w, float eps, float* out, float* inverse,
                   int64_t rows, int64_t cols);
  void (*rms_norm_grad)(const float* x, const float* w, const float* inverse, const float* dy,
                        float* dx, bool accumulate, int64_t rows, int64_t cols);
  // dw[j] += over rows of dy * x * inverse, columns [c0, c1).
  void (*rms_norm_weight_grad)(const float* x, const float* inverse, const float* dy, float* dw,
                               int64_t rows, int64_t cols, int64_t c0, int64_t c1);
  // Rotates pairs (i, i + dim / 2) of each head by the angle of its row's position: table row =
  // cos[dim / 2], sin[dim / 2]. sign -1 rotates back (the gradient).
  void (*rope)(const float* x, float* out, const int32_t* positions, const float* table, float sign,
               int64_t rows, int64_t heads, int64_t dim, bool accumulate);
  void (*swiglu)(const float* gate, const float* up, float* out, int64_t count);
  void (*swiglu_grad)(const float* gate, const float* up, const float* d_out, float* d_gate,
                      bool acc_gate, float* d_up, bool acc_up, int64_t count);
  int64_t (*attention_scratch)(int64_t rows, int64_t keys);
  void (*attention)(const AttentionArgs& args);
  void (*attention_grad)(const AttentionGradArgs& args);

  // Log-probabilities of a row of logits divided by temperature (logits are scaled in place).
  LogprobRow (*logprob_row)(float* logits, int64_t n, int32_t target, float inverse_temperature);
  // logits (already scaled) -> d loss / d logits of the unscaled ones, in place:
  // inverse_temperature * (d_logprob (1[target] - p) + d_lse p + d_mean (1 / n - p)).
  void (*logprob_row_grad)(float* logits, int64_t n, int32_t target, float lse,
                           float inverse_temperature, float d_logprob, float d_lse, float d_mean);
  // out[i] = exp(logits[i] * inverse_temperature - max): the sampler's weights.
  void (*softmax_weights)(const float* logits, int64_t n, float inverse_temperature, float* out);
  void (*exp_array)(const float* x, float* out, int64_t count);  // tests and tables
};

// The instruction sets of this build that this machine runs, best first; never empty, the last is
// "reference".
const std::vector<const Kernels*>& available_kernels();

// The kernels in use: the best, or the one named by PONDER_ISA (reference, avx2, avx512). An
// unknown or unavailable name leaves the best; isa_problem() then says so, for the program to
// report.
const Kernels& kernels();
const char* isa_problem();
// Tests: use this table from now on in this process.
void set_kernels(const Kernels& table);

}  // namespace ponder
