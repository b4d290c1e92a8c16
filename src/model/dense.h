// What the dense decoders share: the loop over layers, the feed-forward block, the call of
// attention. Each architecture's own file holds what makes it different: how h becomes queries,
// keys and values.
#pragma once

#include <string_view>

#include "model/model.h"

namespace ponder {

Tensor llama_forward(Ctx& cx, const Network& model, const Batch& batch);
Tensor qwen2_forward(Ctx& cx, const Network& model, const Batch& batch);
Tensor qwen3_forward(Ctx& cx, const Network& model, const Batch& batch);

struct Qkv {
  Tensor q, k, v;  // (T, heads * head_dim), (T, kv_heads * head_dim) twice; q and k rotated
};
// h: (T, hidden_size), normalised. rope: the table up to the batch's last position.
using QkvFunction = Qkv (*)(Ctx& cx, const Config& config, const DenseLayer& w, const Tensor& h,
                            const Batch& batch, const float* rope);

Tensor dense_forward(Ctx& cx, const Network& model, const Batch& batch, QkvFunction qkv);

// Puts the parameter of a layer whose name ends in `name` ("self_attn.q_proj.weight") in its place.
void bind_dense(DenseLayer& layer, std::string_view name, const Weight& weight);

inline const Weight* optional(const Weight& w) { return w ? &w : nullptr; }

}  // namespace ponder
