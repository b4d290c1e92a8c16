// Qwen3: R1-0528-Qwen3-8B. No biases; every head of q and k is normalised before it is rotated;
// heads * head_dim need not be hidden_size.
#include "model/dense.h"

namespace ponder {
namespace {

Qkv qwen3_qkv(Ctx& cx, const Config& c, const DenseLayer& w, const Tensor& h, const Batch& batch,
              const float* table) {
  const float eps = static_cast<float>(c.rms_norm_eps);
  const auto [all_q, all_k, v] = linears(cx, h,
                                         {{w.q_proj, optional(w.q_bias)},
                                          {w.k_proj, optional(w.k_bias)},
                                          {w.v_proj, optional(w.v_bias)}});
  const Tensor q = rms_norm(cx, all_q, w.q_norm, eps);
  const Tensor k = rms_norm(cx, all_k, w.k_norm, eps);
  const Tensor rotated_q = rope(cx, q, batch.positions, table, c.head_dim);
  const Tensor rotated_k = rope(cx, k, batch.positions, table, c.head_dim);
  return {rotated_q, rotated_k, v};
}

}  // namespace

Tensor qwen3_forward(Ctx& cx, const Network& model, const Batch& batch) {
  return dense_forward(cx, model, batch, qwen3_qkv);
}

}  // namespace ponder
