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
// value_offset the values in rows of value_dim. If the first prefix_keys positions are shared with
// other sequences, their last page is not filled up: position prefix_keys starts a page of its own.
// Other types than float32 lie as ops/kv_rows.h has it; offsets and strides count floats all the same.
struct AttentionPages {
  const float* base;
  const int32_t* table;
  int64_t page_stride, value_offset, page_keys, prefix_keys;
  DType type = DType::kF32;
};

// Rows that read the same keys and values: consecutive queries of one head, or heads of one query that
// share a kv head.
struct AttentionArgs {
  const float* q;  // row i at q + i * q_ld
  float* out;      // row i at out + i * out_ld
  int64_t q_ld, out_ld;
  int64_t rows;
  int64_t first_position, advance;  // row i sees positions 0 .. first_position + i * advance
  int64_t head_dim, value_dim;
  bool latent;  // the value of a position is the first value_dim entries of its key
  float scale;
  AttentionPages pages;
  float* scratch;  // attention_scratch(rows, keys, head_dim, latent ? value_dim : 0) floats
  float* decoded = nullptr;  // kDecodedKeys * max(head_dim, value_dim) floats, if not float32
};

constexpr int64_t kDecodedKeys = 64;  // positions that are made float32 at a time

// Gradients of the same for queries of one head, its keys in one page. Not for latent values.
struct AttentionGradArgs {
  AttentionArgs forward;  // out holds the forward result; advance is 1
  const float* k_rows;    // (keys, head_dim), the keys again as plain rows
  const float* v_panels;  // the values as panels of 16 positions, [value_dim][16]
  const float* d_out;     // as out
  float* d_q;             // as q, overwritten or added to
  bool accumulate_q;
  float* d_k;  // (keys, head_dim), added to
  float* d_v;  // (keys, value_dim), added to
};

struct LogprobRow {
  float logprob;  // of the target
  float lse;      // log of the sum of exp(logits)
  float mean;     // mean of the log-probabilities over all classes
  float entropy;  // in nats
};

// Activations in int8, in tiles of up to kQuantTileRows rows. A tile holds, block of 32 inputs after
// block, for its rows: codes [rows][32] (int8, never -128), a float scale each, then for the sums of
// all 32 codes, of the first 16 and of the last 16 [3][rows]: -128 * sum as int32, and scale * sum.
constexpr int64_t kQuantTileRows = 128;
constexpr int64_t kQuantBytes = 32 + 7 * 4;  // of a row's block

// Panels of quantized weights: those that ops/panels.h packs, and unpacked ones, whose blocks of 32
// inputs are codes [8][16][4], scales [32 / step][16] and, if there are any, offsets likewise.
enum class PanelKind : uint8_t {
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kTQ2_0,
  kIQ1_S,
  kIQ1_M,
  kIQ2_XXS,
  kIQ2_XS,
  kIQ2_S,
  kIQ3_XXS,
  kIQ3_S,
  kUnpacked32,
  kUnpacked32Offset,
  kUnpacked16,
  kUnpacked16Offset,
};
constexpr int kPanelKinds = 25;

// y (rows, n) = or += tile * panels, + bias; rows ldy apart. k inputs, of which the first are at the
// first block of `tile` and `panels`: a product may be cut along k, and goes on with the same chains.
struct QuantProduct {
  const void* tile;
  int64_t rows, k;
  bool accumulate;
  const void* panels;
  int64_t panel_stride;  // bytes
  int64_t n;
  float* y;
  int64_t ldy;
  const float* bias;  // n floats, or null
};

// Panels of FP8 or GPTQ weights (ops/panels_fp8.h and ops/panels_gptq.h have the layout of the codes):
// what is in the first one; in the others it is `stride` bytes further.
struct CodedPanels {
  int bits;                 // of GPTQ; 0: FP8, which has scales and codes alone
  bool half_scales;         // float16, else float32
  int64_t group;            // inputs
  const int32_t* group_of;  // of an input; null: input / group
  const uint8_t* scales;    // GPTQ: [groups][16]; FP8: one float32 for each 128 inputs
  const uint8_t* zeros;     // [groups][16]
  const uint8_t* codes;
  int64_t stride;
};

// y (rows, n) = x times the panels from number `first` on; one or two rows, packed as a tile
// (pack_rows). k is a multiple of 32.
struct CodedProduct {
  const float* x;
  int64_t rows, k, first, n;
  float* y;
  int64_t ldy;
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
  // Inputs [first, first + count) of a panel to out[count][16]. Both are multiples of 32, but for the
  // end of an FP8 row.
  void (*decode_coded)(const CodedPanels& w, int64_t panel, int64_t first, int64_t count,
                       float* out);
  // What gemm() gives over the decoded panels, to the bit.
  void (*coded_product)(const CodedPanels& w, const CodedProduct& product);
  // Rows of x (leading dimension ld) become rows [first, first + rows) of a tile of tile_rows. k is
  // a multiple of 32.
  void (*quantize_rows)(const float* x, int64_t ld, int64_t rows, int64_t k, int64_t first,
                        int64_t tile_rows, void* tile);
  // An unpacked panel (PanelKind) from the codes [16][k] of its rows, scales [16][parts k / 32] and, if
  // not null, offsets likewise.
  void (*interleave)(const int8_t* codes, const float* scales, const float* offsets, int64_t k,
                     int64_t parts, void* panel);
  // By PanelKind. Exact integer dots, then one or two fma per block, in block order (quant-inl.h).
  void (*quant_product[kPanelKinds])(const QuantProduct& product);
  // For measurements: multiplies and adds of small integers, about `count`, as fast as they go;
  // returns how many.
  int64_t (*int8_peak)(int64_t count);
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
  // The same for pairs (2i, 2i + 1).
  void (*rope_neighbours)(const float* x, float* out, const int32_t* positions, const float* table,
                          float sign, int64_t rows, int64_t heads, int64_t dim, bool accumulate);
  // out += factor * x, one fma per element.
  void (*add_scaled)(float factor, const float* x, float* out, int64_t count);
  // out = factor * x.
  void (*scaled)(float factor, const float* x, float* out, int64_t count);
  // Sum of a * b: sixteen lanes and their tree.
  float (*dot)(const float* a, const float* b, int64_t count);
  void (*swiglu)(const float* gate, const float* up, float* out, int64_t count);
  void (*swiglu_grad)(const float* gate, const float* up, const float* d_out, float* d_gate,
                      bool acc_gate, float* d_up, bool acc_up, int64_t count);
  // Floats of scratch. latent_dim: value_dim if values are part of the keys, else 0.
  int64_t (*attention_scratch)(int64_t rows, int64_t keys, int64_t head_dim, int64_t latent_dim);
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
