// Llama: R1-Distill-Llama 8B and 70B. Grouped queries, rotary halves, no biases (a few checkpoints
// set attention_bias).
#include "model/dense.h"

namespace ponder {
namespace {

Qkv llama_qkv(Ctx& cx, const Config& c, const DenseLayer& w, const Tensor& h, const Batch& batch,
              const float* table) {
  const auto [q, k, v] = linears(cx, h,
                                 {{w.q_proj, optional(w.q_bias)},
                                  {w.k_proj, optional(w.k_bias)},
                                  {w.v_proj, optional(w.v_bias)}});
  const Tensor rotated_q = rope(cx, q, batch.positions, table, c.head_dim);
  const Tensor rotated_k = rope(cx, k, batch.positions, table, c.head_dim);
  return {rotated_q, rotated_k, v};
}

}  // namespace

Tensor llama_forward(Ctx& cx, const Network& model, const Batch& batch) {
  return dense_forward(cx, model, batch, llama_qkv);
}

}  // namespace ponder
