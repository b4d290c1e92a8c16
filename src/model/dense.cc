#include "model/dense.h"

#include <algorithm>

namespace ponder {
namespace {

// Where each tensor of a layer goes.
struct LayerField {
  const char* suffix;
  Weight DenseLayer::*field;
};
constexpr LayerField kLayerFields[] = {
    {"input_layernorm.weight", &DenseLayer::input_layernorm},
    {"self_attn.q_proj.weight", &DenseLayer::q_proj},
    {"self_attn.k_proj.weight", &DenseLayer::k_proj},
    {"self_attn.v_proj.weight", &DenseLayer::v_proj},
    {"self_attn.o_proj.weight", &DenseLayer::o_proj},
    {"self_attn.q_proj.bias", &DenseLayer::q_bias},
    {"self_attn.k_proj.bias", &DenseLayer::k_bias},
    {"self_attn.v_proj.bias", &DenseLayer::v_bias},
    {"self_attn.o_proj.bias", &DenseLayer::o_bias},
    {"self_attn.q_norm.weight", &DenseLayer::q_norm},
    {"self_attn.k_norm.weight", &DenseLayer::k_norm},
    {"post_attention_layernorm.weight", &DenseLayer::post_attention_layernorm},
    {"mlp.gate_proj.weight", &DenseLayer::gate_proj},
    {"mlp.up_proj.weight", &DenseLayer::up_proj},
    {"mlp.down_proj.weight", &DenseLayer::down_proj},
};

// What one layer's computation needs, all of which outlives the tape.
struct Layer {
  const Config& config;
  const DenseLayer& w;
  int64_t index;
  AttentionShape shape;
  float eps;
  const float* rope;
  QkvFunction qkv;

  Tensor operator()(Ctx& cx, const Batch& batch, const Tensor& in) const {
    Tensor h = rms_norm(cx, in, w.input_layernorm, eps);
    const Qkv heads = qkv(cx, config, w, h, batch, rope);
    const KvLayer kv = batch.cache != nullptr ? batch.cache->layer(index) : KvLayer{};
    const Tensor mixed = attention(cx, heads.q, heads.k, heads.v, shape, batch.segments,
                                   batch.cache != nullptr ? &kv : nullptr);
    const Tensor x = add(cx, in, linear(cx, mixed, w.o_proj, optional(w.o_bias)));
    h = rms_norm(cx, x, w.post_attention_layernorm, eps);
    const auto [gate, up] = linears(cx, h, {{w.gate_proj}, {w.up_proj}});
    return add(cx, x, linear(cx, swiglu(cx, gate, up), w.down_proj));
  }
};

}  // namespace

Tensor dense_forward(Ctx& cx, const Network& model, const Batch& batch, QkvFunction qkv) {
  const Config& c = model.config;
  const float eps = static_cast<float>(c.rms_norm_eps);
  const AttentionShape shape{c.num_attention_heads, c.num_key_value_heads, c.head_dim,
                             static_cast<float>(c.softmax_scale())};
  const float* rope =
      model.rope.rows(1 + *std::max_element(batch.positions.begin(), batch.positions.end()));
  Tensor x = embedding(cx, batch.ids, model.embed_tokens);  // (T, hidden_size)
  note_residual(batch, x);
  for (size_t i = 0; i < model.dense.size(); ++i) {
    const Layer layer{c, model.dense[i], static_cast<int64_t>(i), shape, eps, rope, qkv};
    x = next_residual(cx, batch, x, layer);
  }
  return rms_norm(cx, x, model.norm, eps);
}

void bind_dense(DenseLayer& layer, std::string_view name, const Weight& weight) {
  for (const LayerField& f : kLayerFields) {
    if (name == f.suffix) layer.*f.field = weight;
  }
}

}  // namespace ponder
