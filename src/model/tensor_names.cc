#include "model/tensor_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ponder {
namespace {

struct NamePair {
  std::string_view hf, gguf;
};
// Without the trailing ".weight" or ".bias".
constexpr NamePair kGlobal[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};
// Within "model.layers.N." and "blk.N.".
constexpr NamePair kLayer[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"self_attn.q_a_proj", "attn_q_a"},
    {"self_attn.q_a_layernorm", "attn_q_a_norm"},
    {"self_attn.q_b_proj", "attn_q_b"},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    {"self_attn.kv_b_proj", "attn_kv_b"},
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
    {"embed_tokens", "nextn.embed_tokens"},
    {"enorm", "nextn.enorm"},
    {"hnorm", "nextn.hnorm"},
    {"eh_proj", "nextn.eh_proj"},
    {"shared_head.norm", "nextn.shared_head_norm"},
    {"shared_head.head", "nextn.shared_head_head"},
};
// Likewise, with a number between Hugging Face's two parts: stacked in GGUF.
struct StackedName {
  std::string_view hf_before, hf_after, gguf;
};
constexpr StackedName kStacked[] = {
    {"mlp.experts.", ".gate_proj", "ffn_gate_exps"}, {"mlp.experts.", ".up_proj", "ffn_up_exps"},
    {"mlp.experts.", ".down_proj", "ffn_down_exps"}, {"self_attn.k_b_proj.", "", "attn_k_b"},
    {"self_attn.v_b_proj.", "", "attn_v_b"},
};
// The one tensor whose last word is not "weight" or "bias".
constexpr NamePair kCorrection = {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"};
constexpr std::string_view kHfLayer = "model.layers.", kGgufLayer = "blk.";

using Side = std::string_view NamePair::*;

// "model.layers.3.mlp.gate.weight" in its parts.
struct LayerName {
  std::string_view number, rest;  // "3", "mlp.gate.weight"
};
std::optional<LayerName> layer_name(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return {};
  name.remove_prefix(prefix.size());
  const size_t digits = std::min(name.find('.'), name.size());
  const std::string_view number = name.substr(0, digits);
  const bool is_number = !number.empty() && number.find_first_not_of("0123456789") == number.npos;
  if (!is_number || digits == name.size()) return {};
  return LayerName{number, name.substr(digits + 1)};
}

// The number in the middle of a stacked tensor's name in Hugging Face's spelling, without its
// suffix: 7 in "mlp.experts.7.gate_proj".
std::optional<int64_t> stack_index(std::string_view stem, const StackedName& stacked) {
  if (!stem.starts_with(stacked.hf_before) || !stem.ends_with(stacked.hf_after)) return {};
  if (stem.size() <= stacked.hf_before.size() + stacked.hf_after.size()) return {};
  stem.remove_prefix(stacked.hf_before.size());
  stem.remove_suffix(stacked.hf_after.size());
  int64_t index = 0;
  const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), index);
  if (error != std::errc() || end != stem.data() + stem.size() || stem.front() == '-') return {};
  return index;
}

// `name` with its prefix, stem and suffix translated.
std::optional<std::string> translate(std::string_view name, Side from, Side to,
                                     std::string_view from_layer, std::string_view to_layer) {
  const std::optional<LayerName> layer = layer_name(name, from_layer);
  if (layer && layer->rest == kCorrection.*from) {
    return fmt::format("{}{}.{}", to_layer, layer->number, kCorrection.*to);
  }
  std::string_view stem = layer ? layer->rest : name;
  const size_t dot = stem.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view suffix = stem.substr(dot);  // with its dot
  if (suffix != ".weight" && suffix != ".bias") return {};
  stem = stem.substr(0, dot);
  if (!layer) {
    for (const NamePair& pair : kGlobal) {
      if (stem == pair.*from) return fmt::format("{}{}", pair.*to, suffix);
    }
    return {};
  }
  for (const NamePair& pair : kLayer) {
    if (stem == pair.*from)
      return fmt::format("{}{}.{}{}", to_layer, layer->number, pair.*to, suffix);
  }
  if (from == &NamePair::gguf) return {};
  for (const StackedName& stacked : kStacked) {
    if (stack_index(stem, stacked))
      return fmt::format("{}{}.{}{}", to_layer, layer->number, stacked.gguf, suffix);
  }
  return {};
}

// The tensors of one layer, "model.layers.N.", in the order of the computation.
class LayerTensors {
 public:
  LayerTensors(const Config& config, int64_t layer, std::vector<TensorSpec>& out)
      : c_(config), layer_(layer), prefix_(fmt::format("{}{}.", kHfLayer, layer)), out_(out) {}

  void dense() {
    vector("input_layernorm.weight", c_.hidden_size);
    biased("self_attn.q_proj", c_.q_size(), c_.hidden_size, c_.attention_bias);
    biased("self_attn.k_proj", c_.kv_size(), c_.hidden_size, c_.attention_bias);
    biased("self_attn.v_proj", c_.kv_size(), c_.hidden_size, c_.attention_bias);
    if (c_.qk_norm) {
      vector("self_attn.q_norm.weight", c_.head_dim);
      vector("self_attn.k_norm.weight", c_.head_dim);
    }
    biased("self_attn.o_proj", c_.hidden_size, c_.q_size(), c_.attention_output_bias);
    vector("post_attention_layernorm.weight", c_.hidden_size);
    feed_forward("mlp.", c_.intermediate_size);
  }

  void deepseek() {
    if (layer_ >= c_.num_hidden_layers) {
      if (!c_.nextn_shares_embeddings) matrix("embed_tokens", c_.vocab_size, c_.hidden_size);
      vector("enorm.weight", c_.hidden_size);
      vector("hnorm.weight", c_.hidden_size);
      matrix("eh_proj", c_.hidden_size, 2 * c_.hidden_size);
    }
    vector("input_layernorm.weight", c_.hidden_size);
    latent_attention();
    vector("post_attention_layernorm.weight", c_.hidden_size);
    c_.has_experts(layer_) ? experts() : feed_forward("mlp.", c_.intermediate_size);
    if (layer_ >= c_.num_hidden_layers) {
      vector("shared_head.norm.weight", c_.hidden_size);
      if (!c_.nextn_shares_embeddings) matrix("shared_head.head", c_.vocab_size, c_.hidden_size);
    }
  }

 private:
  void vector(const std::string& name, int64_t n) { out_.push_back({prefix_ + name, {n}}); }
  void matrix(const std::string& name, int64_t rows, int64_t cols) {
    out_.push_back({prefix_ + name + ".weight", {rows, cols}});
  }
  void biased(const std::string& name, int64_t rows, int64_t cols, bool bias) {
    matrix(name, rows, cols);
    if (bias) vector(name + ".bias", rows);
  }
  void feed_forward(const std::string& name, int64_t width) {
    matrix(name + "gate_proj", width, c_.hidden_size);
    matrix(name + "up_proj", width, c_.hidden_size);
    matrix(name + "down_proj", c_.hidden_size, width);
  }

  void latent_attention() {
    const MlaConfig& mla = c_.mla;
    if (mla.q_lora_rank > 0) {
      matrix("self_attn.q_a_proj", mla.q_lora_rank, c_.hidden_size);
      vector("self_attn.q_a_layernorm.weight", mla.q_lora_rank);
      matrix("self_attn.q_b_proj", c_.q_size(), mla.q_lora_rank);
    } else {
      matrix("self_attn.q_proj", c_.q_size(), c_.hidden_size);
    }
    matrix("self_attn.kv_a_proj_with_mqa", mla.kv_lora_rank + mla.qk_rope_head_dim, c_.hidden_size);
    vector("self_attn.kv_a_layernorm.weight", mla.kv_lora_rank);
    const int64_t heads = c_.num_attention_heads;
    if (c_.absorbs()) {
      for (int64_t h = 0; h < heads; ++h)
        matrix(fmt::format("self_attn.k_b_proj.{}", h), mla.kv_lora_rank, mla.qk_nope_head_dim);
      for (int64_t h = 0; h < heads; ++h)
        matrix(fmt::format("self_attn.v_b_proj.{}", h), mla.v_head_dim, mla.kv_lora_rank);
    } else {
      matrix("self_attn.kv_b_proj", heads * (mla.qk_nope_head_dim + mla.v_head_dim),
             mla.kv_lora_rank);
    }
    matrix("self_attn.o_proj", c_.hidden_size, heads * mla.v_head_dim);
  }

  void experts() {
    const MoeConfig& moe = c_.moe;
    matrix("mlp.gate", moe.n_routed_experts, c_.hidden_size);
    if (moe.topk_method == TopkMethod::kNoauxTc)
      vector(std::string(kCorrection.hf), moe.n_routed_experts);
    for (int64_t i = 0; i < moe.n_routed_experts; ++i)
      feed_forward(fmt::format("mlp.experts.{}.", i), moe.moe_intermediate_size);
    if (moe.n_shared_experts > 0)
      feed_forward("mlp.shared_experts.", moe.n_shared_experts * moe.moe_intermediate_size);
  }

  const Config& c_;
  int64_t layer_;
  std::string prefix_;
  std::vector<TensorSpec>& out_;
};

}  // namespace

std::vector<TensorSpec> expected_tensors(const Config& c) {
  std::vector<TensorSpec> out;
  out.push_back({"model.embed_tokens.weight", {c.vocab_size, c.hidden_size}});
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    LayerTensors tensors(c, layer, out);
    c.is_mla() ? tensors.deepseek() : tensors.dense();
  }
  out.push_back({"model.norm.weight", {c.hidden_size}});
  if (!c.tie_word_embeddings) out.push_back({"lm_head.weight", {c.vocab_size, c.hidden_size}});
  for (int64_t layer = c.num_hidden_layers; layer < c.all_layers(); ++layer) {
    LayerTensors(c, layer, out).deepseek();
  }
  return out;
}

std::optional<std::string> gguf_name(std::string_view hf) {
  return translate(hf, &NamePair::hf, &NamePair::gguf, kHfLayer, kGgufLayer);
}

std::optional<std::string> hf_name(std::string_view gguf) {
  return translate(gguf, &NamePair::gguf, &NamePair::hf, kGgufLayer, kHfLayer);
}

bool has_paired_rows_in_gguf(const Config& config, std::string_view name) {
  return config.architecture == "llama" && (name.find(".self_attn.q_proj.") != name.npos ||
                                            name.find(".self_attn.k_proj.") != name.npos);
}

int64_t gguf_row_of(int64_t hf_row, int64_t head_dim) {
  const int64_t at = hf_row % head_dim, half = head_dim / 2;
  return hf_row - at + 2 * (at % half) + at / half;
}

void rows_hf_to_gguf(const void* src, void* dst, int64_t rows, size_t row_bytes, int64_t head_dim) {
  PONDER_CHECK(head_dim > 0 && head_dim % 2 == 0 && rows % head_dim == 0);
  for (int64_t r = 0; r < rows; ++r) {
    const auto to = static_cast<size_t>(gguf_row_of(r, head_dim)), from = static_cast<size_t>(r);
    std::memcpy(static_cast<char*>(dst) + to * row_bytes,
                static_cast<const char*>(src) + from * row_bytes, row_bytes);
  }
}

}  // namespace ponder
