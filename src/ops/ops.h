// The op list: everything a model is made of. Each front-end checks shapes, allocates the result
// from cx.arena, hands ranges to the threads and, if cx.tape is set, records its gradient. A row of
// a result depends on that row's inputs alone, bit for bit. Shapes are (rows, cols); T = tokens of
// all sequences in the batch. With a tape, the spans and the rope table are read again by backward()
// and must outlive it. Misuse is our own bug: PONDER_CHECK.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor.h"
#include "ops/ctx.h"

namespace ponder {

struct LogprobRow;

// Rows `ids` of the embedding (vocab, dim), in panels -> (T, dim). REQUIRES: 0 <= id < vocab.
Tensor embedding(Ctx& cx, std::span<const int32_t> ids, const Weight& table);

// x (T, in) times w (out, in), transposed, plus bias (out) if given -> (T, out). w in panels: f32,
// f16, bf16 or q8_0; the latter quantizes x to int8 blocks. Gradients for f32 weights.
Tensor linear(Ctx& cx, const Tensor& x, const Weight& w, const Weight* bias = nullptr);

// x / sqrt(mean(x^2) + eps) * w over each row of w.cols (Zhang and Sennrich 2019). x (T, n *
// w.cols) is normalised in groups of w.cols: n = 1 for a layer's norm, the number of heads for q
// and k norms.
Tensor rms_norm(Ctx& cx, const Tensor& x, const Weight& w, float eps);

// Rotary position embedding (Su et al. 2021), pairs (i, i + dim / 2) of each head. table:
// (positions, dim), cosines then sines, already scaled (model/rope.h). x (T, heads * dim).
Tensor rope(Ctx& cx, const Tensor& x, std::span<const int32_t> positions, const float* table,
            int64_t dim);

// silu(gate) * up (Shazeer 2020), all (T, ffn).
Tensor swiglu(Ctx& cx, const Tensor& gate, const Tensor& up);

Tensor add(Ctx& cx, const Tensor& a, const Tensor& b);

// The chosen rows of x, in order -> (rows.size(), cols).
Tensor select_rows(Ctx& cx, const Tensor& x, std::span<const int32_t> rows);

// A run of consecutive tokens of one sequence in the batch.
struct Segment {
  int64_t row = 0;   // of its first token
  int64_t rows = 0;  // how many tokens
  int64_t position =
      0;  // of the first: it sees this many earlier positions, and its own run causally
  // Where the earlier positions are. Without a cache: rows prefix_row .. prefix_row + position of
  // this same batch (answers that share a prompt); such a segment comes after the one it continues,
  // with only its siblings between.
  int64_t prefix_row = -1;
  // With a cache: the pages of the sequence, enough for position + rows tokens. Its first prefix_keys
  // positions (at most `position`) may be shared: they are only read, and what follows them starts
  // in a page of its own.
  const int32_t* pages = nullptr;
  int64_t prefix_keys = 0;
};

// One layer's paged cache. Page p, head h at base + p * page_stride + h * 2 * page_keys * head_dim:
// keys, then values, as AttentionPages describes.
struct KvLayer {
  float* base = nullptr;
  int64_t page_stride = 0;
  int64_t page_keys = 0;
};

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  float scale;
};

// Causal softmax attention with grouped queries. q (T, heads * head_dim), k and v (T, kv_heads *
// head_dim) -> as q. With a cache, k and v are appended to it first and keys are read from it;
// without, they are this batch's own rows.
Tensor attention(Ctx& cx, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionShape& shape, std::span<const Segment> segments,
                 const KvLayer* cache);

// Log-probabilities of targets under softmax(hidden * head^T / temperature), computed over `chunk`
// rows of logits at a time so that memory stays flat in vocab x T. hidden (R, dim) -> (R, 4), a row
// of LogprobRow per target. The gradient with respect to each of the first three is honoured; that
// of the entropy is not.
Tensor token_logprobs(Ctx& cx, const Tensor& hidden, const Weight& head,
                      std::span<const int32_t> targets, float temperature);

}  // namespace ponder
