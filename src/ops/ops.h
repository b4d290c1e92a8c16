// The op list: everything a model is made of. Each front-end checks shapes, allocates the result
// from cx.arena, hands ranges to the threads and, if cx.tape is set, records its gradient. A row of
// a result depends on that row's inputs alone, bit for bit. Shapes are (rows, cols); T = tokens of
// all sequences in the batch. With a tape, the spans and the rope table are read again by backward()
// and must outlive it. Misuse is our own bug: PONDER_CHECK.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "core/tensor.h"
#include "ops/ctx.h"

namespace ponder {

struct LogprobRow;

// Rows `ids` of the embedding (vocab, dim), in panels -> (T, dim). REQUIRES: 0 <= id < vocab.
Tensor embedding(Ctx& cx, std::span<const int32_t> ids, const Weight& table);

// x (T, in) times w (out, in), transposed, plus bias (out) if given -> (T, out). w in panels, or rows
// of any format that decodes. Formats with an integer form (Format::unpack) meet x in int8, quantized
// per block of 32. Gradients for f32 weights in panels.
Tensor linear(Ctx& cx, const Tensor& x, const Weight& w, const Weight* bias = nullptr);

// Several of one x: the same bits as linear() one by one, for less.
struct Projection {
  Weight weight;
  const Weight* bias = nullptr;
};
void linears(Ctx& cx, const Tensor& x, std::span<const Projection> projections,
             std::span<Tensor> y);
template <size_t N>
std::array<Tensor, N> linears(Ctx& cx, const Tensor& x, const Projection (&projections)[N]) {
  std::array<Tensor, N> y;
  linears(cx, x, std::span<const Projection>(projections), std::span<Tensor>(y));
  return y;
}

// x / sqrt(mean(x^2) + eps) * w over each row of w.cols (Zhang and Sennrich 2019). x (T, n *
// w.cols) is normalised in groups of w.cols: n = 1 for a layer's norm, the number of heads for q
// and k norms.
Tensor rms_norm(Ctx& cx, const Tensor& x, const Weight& w, float eps);

// The two entries of a head that rotary embedding turns together: (i, i + dim / 2), or (2i, 2i + 1) as
// the published DeepSeek weights want it.
enum class RopePairs : uint8_t { kHalves, kNeighbours };

// Rotary position embedding (Su et al. 2021) of each head. table: (positions, dim), cosines then
// sines, already scaled (model/rope.h). x (T, heads * dim).
Tensor rope(Ctx& cx, const Tensor& x, std::span<const int32_t> positions, const float* table,
            int64_t dim, RopePairs pairs = RopePairs::kHalves);

// silu(gate) * up (Shazeer 2020), all (T, ffn).
Tensor swiglu(Ctx& cx, const Tensor& gate, const Tensor& up);

Tensor add(Ctx& cx, const Tensor& a, const Tensor& b);

// f(cx, x), of x's shape, without keeping what f computes on the way: backward() computes it again,
// to the same bits. f is called once without a tape, and with one in backward(); what it reads must
// outlive the tape. The bits of gradients are those of f(cx, x), too, if nothing else uses x.
using Recomputed = std::function<Tensor(Ctx& cx, const Tensor& x)>;
Tensor recomputed(Ctx& cx, const Tensor& x, const Recomputed& f);

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

// Columns [offset, offset + width) of every head. x (T, heads * W) -> (T, heads * width).
Tensor slice_heads(Ctx& cx, const Tensor& x, int64_t heads, int64_t offset, int64_t width);

// Each head of a followed by that of b. a (T, heads * wa); b (T, heads * wb), or, if b_shared, (T, wb),
// which follows every head -> (T, heads * (wa + wb)).
Tensor concat_heads(Ctx& cx, const Tensor& a, const Tensor& b, int64_t heads,
                    bool b_shared = false);

// Head h of x times per_head[h] (out, in), transposed. x (T, heads * in) -> (T, heads * out). Weights
// of any type that linear() takes. Without a tape: there is no gradient.
Tensor head_linear(Ctx& cx, const Tensor& x, std::span<const Weight> per_head);

// One layer's paged cache. Page p at base + p * page_stride; in it head after head: keys, then values
// (none if latent), as AttentionPages and ops/kv_rows.h describe.
struct KvLayer {
  float* base = nullptr;
  int64_t page_stride = 0;  // floats
  int64_t page_keys = 0;
  DType type = DType::kF32;  // is_kv_type()
};

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  float scale;
  int64_t value_dim = 0;  // width of a value; 0: head_dim
  // Multi-head latent attention in its absorbed form (DeepSeek-V2, arXiv 2405.04434): the value of a
  // position is the first value_dim entries of its key, and v is an empty tensor.
  bool latent = false;
};

// Causal softmax attention with grouped queries. q (T, heads * head_dim), k (T, kv_heads * head_dim),
// v (T, kv_heads * value_dim) -> (T, heads * value_dim). With a cache, k and v are appended to it
// first and keys are read from it; without, they are this batch's own rows. No gradient if latent.
Tensor attention(Ctx& cx, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionShape& shape, std::span<const Segment> segments,
                 const KvLayer* cache);

// How a token chooses its experts. Scores are sigmoid(logits) (V3) or softmax(logits) (V2); the choice
// goes by score + correction bias. Experts lie in `groups` equal groups, of which the best groups_used
// stay; of their experts the best `used` are taken. Ties go to the lower index, NaN counts as -inf.
// REQUIRES: used <= groups_used * (experts / groups).
struct RouteShape {
  enum class GroupScore : uint8_t { kMax, kTopTwoSum };  // of the choice scores in a group: V2, V3
  int64_t experts = 0, groups = 1, groups_used = 1, used = 0;
  bool sigmoid = false;
  bool normalise = false;  // the weights of a token to a sum of 1 (over sum + 1e-20)
  double scale = 1.0;      // and all weights times this
  GroupScore group_score = GroupScore::kMax;
};

// Who was chosen. `experts` and `scores` live in cx.arena. The weights are scores of the chosen (the
// bias never weighs), and gradients flow through them alone.
struct Routing {
  int64_t used = 0;
  const int32_t* experts = nullptr;  // (T, used), by descending choice score
  Tensor weights;                    // (T, used)
  Tensor scores;                     // (T, experts), without a gradient
};

// The sequence-wise balance loss of DeepSeek-V3 (arXiv 2412.19437, equations 17 to 20), summed over
// segments, each a sequence of its own T tokens: alpha * sum over experts of f P, f = experts / (used
// T) * how often it was chosen, P = mean over tokens of its share of the scores. Its gradient joins
// that of the weights, in logits, when a gradient reaches the weights.
struct BalanceLoss {
  double alpha = 0.0;
  std::span<const Segment> segments;  // cover the batch; read again by backward()
  double* value = nullptr;            // if given, the loss is added to it
};

// logits (T, experts), correction_bias (1, experts) f32 or null. `counts`, if given (experts), goes up
// by the number of tokens that chose each expert.
Routing route(Ctx& cx, const Tensor& logits, const Weight* correction_bias, const RouteShape& shape,
              std::span<int64_t> counts = {}, const BalanceLoss* balance = nullptr);

// The rule by which V3 keeps its experts busy without a loss: bias[i] += gamma * sign(mean of counts -
// counts[i]), after each step.
void update_correction_bias(std::span<float> bias, std::span<const int64_t> counts, double gamma);

// A gated feed-forward network: gate and up (ffn, dim), down (dim, ffn).
struct ExpertWeights {
  Weight gate, up, down;
};

// Sum over a token's experts, in ascending order of their index, of weight * down(silu(gate x) * up x).
// x (T, dim) -> as x. Gradients for x, the weights of the routing and f32 expert weights.
Tensor experts(Ctx& cx, const Tensor& x, const Routing& routing,
               std::span<const ExpertWeights> weights);

// Log-probabilities of targets under softmax(hidden * head^T / temperature), computed over `chunk`
// rows of logits at a time so that memory stays flat in vocab x T. hidden (R, dim) -> (R, 4), a row
// of LogprobRow per target. The gradient with respect to each of the first three is honoured; that
// of the entropy is not.
Tensor token_logprobs(Ctx& cx, const Tensor& hidden, const Weight& head,
                      std::span<const int32_t> targets, float temperature);

}  // namespace ponder
