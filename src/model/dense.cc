#include "model/dense.h"

#include <algorithm>
#include <cmath>

namespace ponder {

Tensor dense_forward(Ctx& cx, const DenseModel& model, const Batch& batch, QkvFunction qkv) {
  const Config& c = model.config;
  const float eps = static_cast<float>(c.rms_norm_eps);
  const AttentionShape shape{c.num_attention_heads, c.num_key_value_heads, c.head_dim,
                             static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)))};
  const float* rope =
      model.rope.rows(1 + *std::max_element(batch.positions.begin(), batch.positions.end()));
  Tensor x = embedding(cx, batch.ids, model.embed_tokens);  // (T, hidden_size)
  for (size_t i = 0; i < model.layers.size(); ++i) {
    const DenseLayer& w = model.layers[i];
    Tensor h = rms_norm(cx, x, w.input_layernorm, eps);
    const Qkv heads = qkv(cx, c, w, h, batch, rope);
    const KvLayer kv =
        batch.cache != nullptr ? batch.cache->layer(static_cast<int64_t>(i)) : KvLayer{};
    const Tensor mixed = attention(cx, heads.q, heads.k, heads.v, shape, batch.segments,
                                   batch.cache != nullptr ? &kv : nullptr);
    x = add(cx, x, linear(cx, mixed, w.o_proj, optional(w.o_bias)));
    h = rms_norm(cx, x, w.post_attention_layernorm, eps);
    const Tensor gate = linear(
        cx, h, w.gate_proj);  // named: argument order is unspecified in C++, and the tape's is not
    const Tensor up = linear(cx, h, w.up_proj);
    x = add(cx, x, linear(cx, swiglu(cx, gate, up), w.down_proj));
  }
  return rms_norm(cx, x, model.norm, eps);
}

}  // namespace ponder
