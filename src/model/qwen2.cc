// Qwen2 and Qwen2.5: R1-Distill-Qwen 1.5B to 32B. As Llama, with biases on q, k and v; the output
// head tied or not.
#include "model/dense.h"

namespace ponder {
namespace {

Qkv qwen2_qkv(Ctx& cx, const Config& c, const DenseLayer& w, const Tensor& h, const Batch& batch,
              const float* table) {
  const auto [q, k, v] =
      linears(cx, h, {{w.q_proj, &w.q_bias}, {w.k_proj, &w.k_bias}, {w.v_proj, &w.v_bias}});
  const Tensor rotated_q = rope(cx, q, batch.positions, table, c.head_dim);
  const Tensor rotated_k = rope(cx, k, batch.positions, table, c.head_dim);
  return {rotated_q, rotated_k, v};
}

}  // namespace

Tensor qwen2_forward(Ctx& cx, const Network& model, const Batch& batch) {
  return dense_forward(cx, model, batch, qwen2_qkv);
}

}  // namespace ponder
