#include "model/deepseek.h"

#include <algorithm>
#include <charconv>

namespace ponder {
namespace {

// Shapes in comments: T tokens, H heads, D = hidden_size, R = kv_lora_rank; a head's query and key
// have qk_nope_head_dim values, N, that positions do not turn and qk_rope_head_dim, P, that they do;
// its value has V.
struct Step {
  const Config& config;
  const Batch& batch;
  const float* rope;  // the table up to the batch's last position
  float eps;

  Step(const Network& model, const Batch& of)
      : config(model.config),
        batch(of),
        rope(model.rope.rows(1 + *std::max_element(of.positions.begin(), of.positions.end()))),
        eps(static_cast<float>(model.config.rms_norm_eps)) {}
};

Tensor turned(Ctx& cx, const Step& step, const Tensor& x) {
  return rope(cx, x, step.batch.positions, step.rope, step.config.rope_dim(),
              RopePairs::kNeighbours);
}

struct Query {
  Tensor nope, rope;  // (T, H * N), (T, H * P) and turned
};

Query query(Ctx& cx, const Step& step, const DeepseekLayer& w, const Tensor& h) {
  const Config& c = step.config;
  Tensor q;  // (T, H * (N + P))
  if (c.mla.q_lora_rank > 0) {
    const Tensor low = rms_norm(cx, linear(cx, h, w.q_a_proj), w.q_a_layernorm, step.eps);
    q = linear(cx, low, w.q_b_proj);
  } else {
    q = linear(cx, h, w.q_proj);
  }
  const int64_t heads = c.num_attention_heads, nope = c.mla.qk_nope_head_dim;
  const Tensor plain = slice_heads(cx, q, heads, 0, nope);
  const Tensor positioned = slice_heads(cx, q, heads, nope, c.mla.qk_rope_head_dim);
  return {plain, turned(cx, step, positioned)};
}

struct Latent {
  Tensor c, rope;  // (T, R) normalised, (T, P) turned: the part of a key that all heads share
};

Latent latent(Ctx& cx, const Step& step, const DeepseekLayer& w, const Tensor& h) {
  const MlaConfig& mla = step.config.mla;
  const Tensor both = linear(cx, h, w.kv_a_proj);  // (T, R + P)
  const Tensor low = slice_heads(cx, both, 1, 0, mla.kv_lora_rank);
  const Tensor normalised = rms_norm(cx, low, w.kv_a_layernorm, step.eps);
  const Tensor shared = slice_heads(cx, both, 1, mla.kv_lora_rank, mla.qk_rope_head_dim);
  return {normalised, turned(cx, step, shared)};
}

// Every head's keys and values are made from the latent, and cached.
Tensor expanded_attention(Ctx& cx, const Step& step, const DeepseekLayer& w, const Query& q,
                          const Latent& kv, const KvLayer* cache) {
  const Config& c = step.config;
  const int64_t heads = c.num_attention_heads, nope = c.mla.qk_nope_head_dim;
  const int64_t value = c.mla.v_head_dim;
  const Tensor made = linear(cx, kv.c, w.kv_b_proj);  // (T, H * (N + V))
  const Tensor keys = slice_heads(cx, made, heads, 0, nope);
  const Tensor values = slice_heads(cx, made, heads, nope, value);
  const Tensor queries = concat_heads(cx, q.nope, q.rope, heads);
  const Tensor all_keys = concat_heads(cx, keys, kv.rope, heads, true);
  const AttentionShape shape{.heads = heads,
                             .kv_heads = heads,
                             .head_dim = c.head_dim,
                             .scale = static_cast<float>(c.softmax_scale()),
                             .value_dim = value};
  return attention(cx, queries, all_keys, values, shape, step.batch.segments, cache);
}

// The same, (K c) . q = c . (K^T q): queries come to the latent, which alone is cached, and the
// values' matrix is applied to the weighted latents.
Tensor absorbed_attention(Ctx& cx, const Step& step, const DeepseekLayer& w, const Query& q,
                          const Latent& kv, const KvLayer* cache) {
  const Config& c = step.config;
  const int64_t heads = c.num_attention_heads, rank = c.mla.kv_lora_rank;
  const Tensor queries = result_alone(cx, [&] {                   // (T, H * (R + P))
    const Tensor absorbed = head_linear(cx, q.nope, w.k_b_proj);  // (T, H * R)
    return concat_heads(cx, absorbed, q.rope, heads);
  });
  const Tensor keys = concat_heads(cx, kv.c, kv.rope, 1);  // (T, R + P)
  const AttentionShape shape{.heads = heads,
                             .kv_heads = 1,
                             .head_dim = rank + c.mla.qk_rope_head_dim,
                             .scale = static_cast<float>(c.softmax_scale()),
                             .value_dim = rank,
                             .latent = true};
  const Tensor mixed = attention(cx, queries, keys, {}, shape, step.batch.segments, cache);
  return head_linear(cx, mixed, w.v_b_proj);  // (T, H * V)
}

Tensor feed_forward(Ctx& cx, const Tensor& h, const ExpertWeights& w) {
  const auto [gate, up] = linears(cx, h, {{w.gate}, {w.up}});
  return linear(cx, swiglu(cx, gate, up), w.down);
}

RouteShape route_shape(const MoeConfig& moe) {
  return {.experts = moe.n_routed_experts,
          .groups = moe.n_group,
          .groups_used = moe.topk_group,
          .used = moe.num_experts_per_tok,
          .sigmoid = moe.sigmoid,
          .normalise = moe.norm_topk_prob,
          .scale = moe.routed_scaling_factor,
          .group_score = moe.topk_method == TopkMethod::kNoauxTc
                             ? RouteShape::GroupScore::kTopTwoSum
                             : RouteShape::GroupScore::kMax};
}

Routing routed(Ctx& cx, const Step& step, const DeepseekLayer& w, int64_t layer, const Tensor& h) {
  const RouteShape shape = route_shape(step.config.moe);
  const Tensor logits = linear(cx, h, w.gate);  // (T, n_routed_experts)
  const Weight* bias = w.correction_bias ? &w.correction_bias : nullptr;
  ExpertUse* use = step.batch.experts;
  if (use == nullptr) return route(cx, logits, bias, shape);
  use->counts.resize(static_cast<size_t>(step.config.all_layers()));
  std::vector<int64_t>& counts = use->counts[static_cast<size_t>(layer)];
  counts.resize(static_cast<size_t>(shape.experts));
  const BalanceLoss balance{use->balance_alpha, step.batch.segments, &use->balance_loss};
  return route(cx, logits, bias, shape, counts, use->balance_alpha != 0 ? &balance : nullptr);
}

Tensor experts_of(Ctx& cx, const Step& step, const DeepseekLayer& w, int64_t layer,
                  const Tensor& h) {
  const Routing routing = routed(cx, step, w, layer, h);
  const Tensor mixed = experts(cx, h, routing, w.experts);
  if (step.config.moe.n_shared_experts == 0) return mixed;
  return add(cx, mixed, feed_forward(cx, h, w.shared_experts));
}

// x (T, D) -> (T, D)
Tensor decoder_layer(Ctx& cx, const Step& step, const DeepseekLayer& w, int64_t layer, Tensor x) {
  const Config& c = step.config;
  const KvCache* cache = step.batch.cache;
  const KvLayer pages = cache != nullptr ? cache->layer(layer) : KvLayer{};
  const Tensor attended = result_alone(cx, [&] {
    const Tensor h = rms_norm(cx, x, w.input_layernorm, step.eps);
    const Query q = query(cx, step, w, h);
    const Latent kv = latent(cx, step, w, h);
    const auto attend = c.absorbs() ? absorbed_attention : expanded_attention;
    const Tensor mixed = attend(cx, step, w, q, kv, cache != nullptr ? &pages : nullptr);
    return linear(cx, mixed, w.o_proj);
  });
  x = add(cx, x, attended);
  const Tensor h = rms_norm(cx, x, w.post_attention_layernorm, step.eps);
  return add(cx, x,
             c.has_experts(layer) ? experts_of(cx, step, w, layer, h) : feed_forward(cx, h, w.mlp));
}

struct Field {
  std::string_view name;
  Weight DeepseekLayer::*field;
};
constexpr Field kFields[] = {
    {"input_layernorm.weight", &DeepseekLayer::input_layernorm},
    {"post_attention_layernorm.weight", &DeepseekLayer::post_attention_layernorm},
    {"self_attn.q_proj.weight", &DeepseekLayer::q_proj},
    {"self_attn.q_a_proj.weight", &DeepseekLayer::q_a_proj},
    {"self_attn.q_a_layernorm.weight", &DeepseekLayer::q_a_layernorm},
    {"self_attn.q_b_proj.weight", &DeepseekLayer::q_b_proj},
    {"self_attn.kv_a_proj_with_mqa.weight", &DeepseekLayer::kv_a_proj},
    {"self_attn.kv_a_layernorm.weight", &DeepseekLayer::kv_a_layernorm},
    {"self_attn.kv_b_proj.weight", &DeepseekLayer::kv_b_proj},
    {"self_attn.o_proj.weight", &DeepseekLayer::o_proj},
    {"mlp.gate.weight", &DeepseekLayer::gate},
    {"mlp.gate.e_score_correction_bias", &DeepseekLayer::correction_bias},
    {"embed_tokens.weight", &DeepseekLayer::embed_tokens},
    {"enorm.weight", &DeepseekLayer::enorm},
    {"hnorm.weight", &DeepseekLayer::hnorm},
    {"eh_proj.weight", &DeepseekLayer::eh_proj},
    {"shared_head.norm.weight", &DeepseekLayer::shared_head_norm},
    {"shared_head.head.weight", &DeepseekLayer::shared_head},
};

// Whether `name` begins with `prefix`, which is then taken off.
bool take(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

// The number and the dot that `name` begins with.
size_t take_number(std::string_view& name) {
  size_t out = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out);
  PONDER_CHECK(error == std::errc() && *end == '.', "a name of expected_tensors()");
  name.remove_prefix(static_cast<size_t>(end - name.data()) + 1);
  return out;
}

void bind_feed_forward(ExpertWeights& to, std::string_view name, const Weight& weight) {
  if (name == "gate_proj.weight") to.gate = weight;
  if (name == "up_proj.weight") to.up = weight;
  if (name == "down_proj.weight") to.down = weight;
}

}  // namespace

Tensor deepseek_forward(Ctx& cx, const Network& model, const Batch& batch) {
  const Step step(model, batch);
  Tensor x = embedding(cx, batch.ids, model.embed_tokens);
  note_residual(batch, x);
  for (int64_t i = 0; i < model.config.num_hidden_layers; ++i) {
    x = next_residual(cx, batch, x, [model, i](Ctx& c, const Batch& of, const Tensor& in) {
      const Step own(model, of);
      const DeepseekLayer& w = model.deepseek[static_cast<size_t>(i)];
      return decoder_layer(c, own, w, i, in);
    });
  }
  return rms_norm(cx, x, model.norm, step.eps);
}

Tensor deepseek_predict_next(Ctx& cx, const Network& model, const Tensor& hidden,
                             const Batch& batch, int64_t depth) {
  const Step step(model, batch);
  const int64_t layer = model.config.num_hidden_layers + depth;
  const DeepseekLayer& w = model.deepseek[static_cast<size_t>(layer)];
  const Tensor token = rms_norm(cx, embedding(cx, batch.ids, w.embed_tokens), w.enorm, step.eps);
  const Tensor before = rms_norm(cx, hidden, w.hnorm, step.eps);
  const Tensor x = linear(cx, concat_heads(cx, token, before, 1), w.eh_proj);
  return rms_norm(cx, decoder_layer(cx, step, w, layer, x), w.shared_head_norm, step.eps);
}

void bind_deepseek(DeepseekLayer& layer, std::string_view name, const Weight& weight,
                   const Config& config) {
  for (const Field& f : kFields) {
    if (name == f.name) layer.*f.field = weight;
  }
  const auto heads = static_cast<size_t>(config.num_attention_heads);
  if (take(name, "self_attn.k_b_proj.")) {
    layer.k_b_proj.resize(heads);
    layer.k_b_proj[take_number(name)] = weight;
  } else if (take(name, "self_attn.v_b_proj.")) {
    layer.v_b_proj.resize(heads);
    layer.v_b_proj[take_number(name)] = weight;
  } else if (take(name, "mlp.experts.")) {
    layer.experts.resize(static_cast<size_t>(config.moe.n_routed_experts));
    ExpertWeights& expert = layer.experts[take_number(name)];
    bind_feed_forward(expert, name, weight);
  } else if (take(name, "mlp.shared_experts.")) {
    bind_feed_forward(layer.shared_experts, name, weight);
  } else if (take(name, "mlp.")) {
    bind_feed_forward(layer.mlp, name, weight);
  }
}

}  // namespace ponder
