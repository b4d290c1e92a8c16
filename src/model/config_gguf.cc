#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "io/json.h"
#include "model/config.h"

namespace ponder {
namespace {

// The number of the shortest decimal that names this float: GGUF keeps 1e-6 as a float32,
// config.json as text, and both must give the same Config.
double shortest_decimal(double value) {
  if (!std::isfinite(value) || std::fabs(value) > 3.4e38) return value;
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, static_cast<float>(value)).ptr;
  double out = value;
  std::from_chars(text, end, out);
  return out;
}

// Reads the keys of one architecture: "llama." + key.
class Keys {
 public:
  Keys(const GgufMetadata& metadata, std::string prefix)
      : metadata_(metadata), prefix_(std::move(prefix)) {}

  bool has(const std::string& key) const { return metadata_.contains(prefix_ + key); }

  Result<int64_t> integer(const std::string& key, std::optional<int64_t> fallback = {}) const {
    if (fallback && !has(key)) return *fallback;
    return metadata_.integer(prefix_ + key);
  }
  Result<bool> boolean(const std::string& key, bool fallback) const {
    if (!has(key)) return fallback;
    return metadata_.boolean(prefix_ + key);
  }
  Result<double> number(const std::string& key, std::optional<double> fallback = {}) const {
    if (fallback && !has(key)) return *fallback;
    ASSIGN_OR_RETURN(const double value, metadata_.number(prefix_ + key));
    return shortest_decimal(value);
  }

 private:
  const GgufMetadata& metadata_;
  std::string prefix_;
};

double default_yarn_scale(double factor) {
  return factor <= 1.0 ? 1.0 : 0.1 * std::log(factor) + 1.0;
}

// DeepSeek's one name there.
constexpr char kDeepseek2[] = "deepseek2";
bool is_deepseek(const Config& config) { return config.architecture.starts_with("deepseek"); }
std::string gguf_architecture(const Config& config) {
  return is_deepseek(config) ? kDeepseek2 : config.architecture;
}

// YaRN's magnitude. llama.cpp multiplies the key by the default scale; for deepseek2 cos and sin
// are not scaled, and yarn_log_multiplier is a tenth of mscale_all_dim.
Status read_yarn_scale(const Keys& keys, const Config& config, RopeConfig& rope) {
  const char* key = keys.has("rope.scaling.attn_factor") ? "rope.scaling.attn_factor"
                                                         : "rope.scaling.yarn_attn_factor";
  ASSIGN_OR_RETURN(const double scale, keys.number(key, 1.0));
  if (!is_deepseek(config)) {
    if (scale != 1.0) rope.attention_factor = scale * default_yarn_scale(rope.factor);
    return {};
  }
  if (scale != 1.0) return unsupported(fmt::format("{} is {}, expected 1", key, scale));
  ASSIGN_OR_RETURN(const double tenth, keys.number("rope.scaling.yarn_log_multiplier", 0.0));
  rope.mscale = rope.mscale_all_dim = shortest_decimal(tenth * 10.0);
  return {};
}

Status read_rope(const GgufMetadata& metadata, const Keys& keys, Config& config) {
  RopeConfig& rope = config.rope;
  ASSIGN_OR_RETURN(rope.theta, keys.number("rope.freq_base", 10000.0));
  const std::string type_key = gguf_architecture(config) + ".rope.scaling.type";
  std::string type = "none";
  if (metadata.contains(type_key)) {
    ASSIGN_OR_RETURN(const std::string* text, metadata.string(type_key));
    type = *text;
  }
  if (type == "none" || type == "default") return {};
  if (type != "linear" && type != "yarn") {
    return unsupported(fmt::format("key {} is {}, expected none, linear or yarn",
                                   in_quotes(type_key), in_quotes(type)));
  }
  ASSIGN_OR_RETURN(rope.factor, keys.number("rope.scaling.factor"));
  rope.kind = type == "linear" ? RopeKind::kLinear : RopeKind::kYarn;
  if (rope.kind == RopeKind::kLinear) return {};
  ASSIGN_OR_RETURN(
      rope.original_max_position_embeddings,
      keys.integer("rope.scaling.original_context_length", config.max_position_embeddings));
  ASSIGN_OR_RETURN(rope.beta_fast, keys.number("rope.scaling.yarn_beta_fast", 32.0));
  ASSIGN_OR_RETURN(rope.beta_slow, keys.number("rope.scaling.yarn_beta_slow", 1.0));
  return read_yarn_scale(keys, config, rope);
}

// Rows of the embedding; a file without tensors (only a vocabulary): what the metadata says.
Result<int64_t> vocab_size_of(const GgufFile& file, const Keys& keys) {
  int64_t tokens = 0;
  if (file.metadata().contains("tokenizer.ggml.tokens")) {
    ASSIGN_OR_RETURN(const auto* list, file.metadata().strings("tokenizer.ggml.tokens"));
    tokens = static_cast<int64_t>(list->size());
  }
  const StoredTensor* embedding = file.tensors().find("token_embd.weight");
  if (embedding == nullptr) return keys.integer("vocab_size", tokens);
  if (embedding->shape.size() != 2) {
    return invalid(fmt::format("tensor \"token_embd.weight\" is {}, expected two dimensions",
                               embedding->shape_text()));
  }
  const int64_t rows = embedding->shape[0];
  ASSIGN_OR_RETURN(const int64_t stated, keys.integer("vocab_size", rows));
  if (stated > rows || tokens > rows) {
    return invalid(fmt::format("a vocabulary of {} tokens, but \"token_embd.weight\" has {} rows",
                               std::max(stated, tokens), rows));
  }
  return rows;
}

Result<int64_t> token_id(const GgufMetadata& metadata, const std::string& key) {
  if (!metadata.contains(key)) return int64_t{-1};
  return metadata.integer(key);
}

// The width of a head. MLA has keys and values of other widths, see read_mla().
Status read_heads(const Keys& keys, Config& config) {
  ASSIGN_OR_RETURN(config.num_key_value_heads,
                   keys.integer("attention.head_count_kv", config.num_attention_heads));
  ASSIGN_OR_RETURN(config.head_dim, keys.integer("attention.key_length",
                                                 config.hidden_size / config.num_attention_heads));
  ASSIGN_OR_RETURN(const int64_t value_length,
                   keys.integer("attention.value_length", config.head_dim));
  ASSIGN_OR_RETURN(const int64_t rotated, keys.integer("rope.dimension_count", config.head_dim));
  if (value_length != config.head_dim || rotated != config.head_dim) {
    return unsupported(
        fmt::format("attention.key_length {}, attention.value_length {} and "
                    "rope.dimension_count {}: expected the same",
                    config.head_dim, value_length, rotated));
  }
  ASSIGN_OR_RETURN(const int64_t experts, keys.integer("expert_count", 0));
  if (experts != 0)
    return unsupported(fmt::format("expert_count is {}, expected a dense model", experts));
  return {};
}

// Files with attn_k_b and attn_v_b state the width of the latent as key_length and that of a head
// as key_length_mla; older ones, with attn_kv_b, state a head's as key_length.
Status read_mla(const Keys& keys, Config& config) {
  MlaConfig& mla = config.mla;
  ASSIGN_OR_RETURN(mla.q_lora_rank, keys.integer("attention.q_lora_rank", 0));
  ASSIGN_OR_RETURN(mla.kv_lora_rank, keys.integer("attention.kv_lora_rank"));
  const bool split = keys.has("attention.key_length_mla");
  ASSIGN_OR_RETURN(config.head_dim,
                   keys.integer(split ? "attention.key_length_mla" : "attention.key_length"));
  ASSIGN_OR_RETURN(mla.v_head_dim,
                   keys.integer(split ? "attention.value_length_mla" : "attention.value_length"));
  ASSIGN_OR_RETURN(mla.qk_rope_head_dim, keys.integer("rope.dimension_count"));
  if (mla.qk_rope_head_dim < 0 || mla.qk_rope_head_dim >= config.head_dim) {
    return invalid(fmt::format("rope.dimension_count is {}, expected less than a head's width, {}",
                               mla.qk_rope_head_dim, config.head_dim));
  }
  mla.qk_nope_head_dim = config.head_dim - mla.qk_rope_head_dim;
  config.num_key_value_heads = config.num_attention_heads;
  return {};
}

constexpr int64_t kSoftmaxGate = 1, kSigmoidGate = 2;  // expert_gating_func

// How experts are chosen is not in the metadata: with correction biases as V3 does.
TopkMethod topk_method(const TensorTable& tensors, const MoeConfig& moe) {
  const auto is_bias = [](const StoredTensor& t) { return t.name.ends_with(".exp_probs_b.bias"); };
  const bool corrected = tensors.all().empty()
                             ? moe.sigmoid
                             : std::any_of(tensors.all().begin(), tensors.all().end(), is_bias);
  if (corrected) return TopkMethod::kNoauxTc;
  return moe.n_group == 1 ? TopkMethod::kGreedy : TopkMethod::kGroupLimitedGreedy;
}

Status read_experts(const Keys& keys, const TensorTable& tensors, Config& config) {
  MoeConfig moe;
  ASSIGN_OR_RETURN(moe.n_routed_experts, keys.integer("expert_count", 0));
  if (moe.n_routed_experts != 0) {
    ASSIGN_OR_RETURN(moe.num_experts_per_tok, keys.integer("expert_used_count"));
    ASSIGN_OR_RETURN(moe.n_shared_experts, keys.integer("expert_shared_count", 0));
    ASSIGN_OR_RETURN(moe.moe_intermediate_size, keys.integer("expert_feed_forward_length"));
    ASSIGN_OR_RETURN(moe.first_k_dense_replace, keys.integer("leading_dense_block_count", 0));
    ASSIGN_OR_RETURN(moe.routed_scaling_factor, keys.number("expert_weights_scale", 1.0));
    ASSIGN_OR_RETURN(moe.norm_topk_prob, keys.boolean("expert_weights_norm", false));
    ASSIGN_OR_RETURN(const int64_t gate, keys.integer("expert_gating_func", kSoftmaxGate));
    if (gate != kSoftmaxGate && gate != kSigmoidGate) {
      return unsupported(
          fmt::format("expert_gating_func is {}, expected 1 (softmax) or 2 (sigmoid)", gate));
    }
    moe.sigmoid = gate == kSigmoidGate;
    ASSIGN_OR_RETURN(moe.n_group, keys.integer("expert_group_count", 0));
    ASSIGN_OR_RETURN(moe.topk_group, keys.integer("expert_group_used_count", moe.n_group));
    if (moe.n_group == 0) moe.n_group = moe.topk_group = 1;  // ggml's way to say none
    moe.topk_method = topk_method(tensors, moe);
  }
  config.architecture = moe.sigmoid ? "deepseek_v3" : "deepseek_v2";
  config.moe = moe;
  return {};
}

Status read_deepseek(const Keys& keys, const TensorTable& tensors, Config& config) {
  RETURN_IF_ERROR(read_mla(keys, config));
  ASSIGN_OR_RETURN(config.num_nextn_predict_layers, keys.integer("nextn_predict_layers", 0));
  config.num_hidden_layers -= std::clamp<int64_t>(config.num_nextn_predict_layers, 0,
                                                  std::max<int64_t>(config.num_hidden_layers, 0));
  return read_experts(keys, tensors, config);
}

Status read_sizes(const Keys& keys, Config& config) {
  ASSIGN_OR_RETURN(config.hidden_size, keys.integer("embedding_length"));
  ASSIGN_OR_RETURN(config.intermediate_size, keys.integer("feed_forward_length"));
  ASSIGN_OR_RETURN(config.num_hidden_layers, keys.integer("block_count"));
  ASSIGN_OR_RETURN(config.max_position_embeddings, keys.integer("context_length"));
  ASSIGN_OR_RETURN(config.num_attention_heads, keys.integer("attention.head_count"));
  ASSIGN_OR_RETURN(config.rms_norm_eps, keys.number("attention.layer_norm_rms_epsilon"));
  if (config.num_attention_heads < 1) {
    return invalid(
        fmt::format("attention.head_count is {}, expected at least 1", config.num_attention_heads));
  }
  return {};
}

}  // namespace

Result<Config> config_from_gguf(const GgufFile& file) {
  const GgufMetadata& metadata = file.metadata();
  ASSIGN_OR_RETURN(const std::string* name, metadata.string("general.architecture"));
  const bool deepseek = *name == kDeepseek2;
  if (!deepseek && (!Config::is_architecture(*name) || name->starts_with("deepseek"))) {
    return unsupported(
        fmt::format("key \"general.architecture\" is {}, expected llama, qwen2, qwen3 or deepseek2",
                    in_quotes(*name)));
  }
  Config config = Config::of(deepseek ? "deepseek_v3" : *name,
                             file.tensors().find("blk.0.attn_q.bias") != nullptr);
  const Keys keys(metadata, *name + ".");
  RETURN_IF_ERROR(read_sizes(keys, config));
  RETURN_IF_ERROR(deepseek ? read_deepseek(keys, file.tensors(), config)
                           : read_heads(keys, config));
  ASSIGN_OR_RETURN(config.vocab_size, vocab_size_of(file, keys));
  RETURN_IF_ERROR(read_rope(metadata, keys, config));
  config.tie_word_embeddings =
      !file.tensors().all().empty() && file.tensors().find("output.weight") == nullptr;
  ASSIGN_OR_RETURN(config.bos_id, token_id(metadata, "tokenizer.ggml.bos_token_id"));
  ASSIGN_OR_RETURN(config.pad_id, token_id(metadata, "tokenizer.ggml.padding_token_id"));
  ASSIGN_OR_RETURN(const int64_t eos, token_id(metadata, "tokenizer.ggml.eos_token_id"));
  if (eos >= 0) config.eos_ids.push_back(eos);
  RETURN_IF_ERROR(validate(config));
  return config;
}

namespace {

// Sets the keys of one architecture.
class Setter {
 public:
  Setter(GgufMetadata& metadata, std::string prefix)
      : metadata_(metadata), prefix_(std::move(prefix)) {}

  void set(const char* key, GgufValue value) { metadata_.set(prefix_ + key, std::move(value)); }
  void u32(const char* key, int64_t value) {
    set(key, GgufValue::u32(static_cast<uint32_t>(value)));  // validate() keeps all below 2^32
  }
  void f32(const char* key, double value) { set(key, GgufValue::f32(static_cast<float>(value))); }

 private:
  GgufMetadata& metadata_;
  std::string prefix_;
};

void set_deepseek(const Config& config, Setter& keys) {
  const MlaConfig& mla = config.mla;
  keys.u32("attention.head_count_kv", 1);
  if (mla.q_lora_rank > 0) keys.u32("attention.q_lora_rank", mla.q_lora_rank);
  keys.u32("attention.kv_lora_rank", mla.kv_lora_rank);
  keys.u32("attention.key_length", mla.kv_lora_rank + mla.qk_rope_head_dim);
  keys.u32("attention.value_length", mla.kv_lora_rank);
  keys.u32("attention.key_length_mla", config.head_dim);
  keys.u32("attention.value_length_mla", mla.v_head_dim);
  if (config.num_nextn_predict_layers > 0)
    keys.u32("nextn_predict_layers", config.num_nextn_predict_layers);
  const MoeConfig& moe = config.moe;
  if (moe.n_routed_experts == 0) return;
  keys.u32("expert_count", moe.n_routed_experts);
  keys.u32("expert_used_count", moe.num_experts_per_tok);
  keys.u32("expert_shared_count", moe.n_shared_experts);
  keys.u32("expert_feed_forward_length", moe.moe_intermediate_size);
  keys.u32("leading_dense_block_count", moe.first_k_dense_replace);
  if (moe.n_group > 1) {
    keys.u32("expert_group_count", moe.n_group);
    keys.u32("expert_group_used_count", moe.topk_group);
  }
  keys.u32("expert_gating_func", moe.sigmoid ? kSigmoidGate : kSoftmaxGate);
  keys.f32("expert_weights_scale", moe.routed_scaling_factor);
  keys.set("expert_weights_norm", GgufValue::boolean(moe.norm_topk_prob));
}

// What GGUF has no key for.
Status expressible(const Config& config) {
  const RopeConfig& rope = config.rope;
  if (!rope.truncate) return unsupported("GGUF has no key for YaRN without truncation");
  if (!is_deepseek(config)) return {};
  if (config.moe.moe_layer_freq != 1)
    return unsupported("GGUF has no key for moe_layer_freq other than 1");
  if (rope.kind == RopeKind::kYarn && (rope.mscale != rope.mscale_all_dim || rope.attention_factor))
    return unsupported("deepseek2 in GGUF has no key for an mscale other than mscale_all_dim");
  return {};
}

void set_rope(const Config& config, Setter& keys) {
  const RopeConfig& rope = config.rope;
  keys.u32("rope.dimension_count", config.rope_dim());
  keys.f32("rope.freq_base", rope.theta);
  if (rope.kind == RopeKind::kLinear || rope.kind == RopeKind::kYarn) {
    keys.set("rope.scaling.type",
             GgufValue::string(rope.kind == RopeKind::kLinear ? "linear" : "yarn"));
    keys.f32("rope.scaling.factor", rope.factor);
  }
  if (rope.kind != RopeKind::kYarn) return;
  keys.u32("rope.scaling.original_context_length", rope.original_max_position_embeddings);
  keys.f32("rope.scaling.yarn_beta_fast", rope.beta_fast);
  keys.f32("rope.scaling.yarn_beta_slow", rope.beta_slow);
  if (is_deepseek(config)) {
    if (rope.mscale_all_dim != 0.0)
      keys.f32("rope.scaling.yarn_log_multiplier", 0.1 * rope.mscale_all_dim);
    return;
  }
  const double relative = rope.attention_scale() / default_yarn_scale(rope.factor);
  if (relative != 1.0) keys.f32("rope.scaling.attn_factor", relative);
}

}  // namespace

Status config_to_gguf(const Config& config, GgufMetadata& metadata) {
  RETURN_IF_ERROR(expressible(config));
  const std::string architecture = gguf_architecture(config);
  metadata.set("general.architecture", GgufValue::string(architecture));
  Setter keys(metadata, architecture + ".");
  keys.u32("block_count", config.all_layers());
  keys.u32("context_length", config.max_position_embeddings);
  keys.u32("embedding_length", config.hidden_size);
  keys.u32("feed_forward_length", config.intermediate_size);
  keys.u32("attention.head_count", config.num_attention_heads);
  if (is_deepseek(config)) {
    set_deepseek(config, keys);
  } else {
    keys.u32("attention.head_count_kv", config.num_key_value_heads);
    keys.u32("attention.key_length", config.head_dim);
    keys.u32("attention.value_length", config.head_dim);
  }
  keys.u32("vocab_size", config.vocab_size);
  keys.f32("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  set_rope(config, keys);
  const auto set_id = [&](const char* key, int64_t id) {
    if (id >= 0) metadata.set(key, GgufValue::u32(static_cast<uint32_t>(id)));
  };
  set_id("tokenizer.ggml.bos_token_id", config.bos_id);
  set_id("tokenizer.ggml.eos_token_id", config.eos_ids.empty() ? -1 : config.eos_ids[0]);
  set_id("tokenizer.ggml.padding_token_id", config.pad_id);
  return {};
}

}  // namespace ponder
