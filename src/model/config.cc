#include "model/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "io/json.h"

namespace ponder {
namespace {

// Far beyond any model, yet small enough that no product of two of them overflows.
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxHidden = int64_t{1} << 20;
constexpr int64_t kMaxIntermediate = int64_t{1} << 22;
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxHeads = int64_t{1} << 16;
constexpr int64_t kMaxHeadDim = int64_t{1} << 14;
constexpr int64_t kMaxPositions = int64_t{1} << 31;
constexpr int64_t kMaxParameters = int64_t{1} << 48;
constexpr int64_t kMaxExperts = int64_t{1} << 12;
// Of all layers: bounds the list of a model's tensors. (V3 has 61 * 256 = 15,616.)
constexpr int64_t kMaxAllExperts = int64_t{1} << 16;
constexpr int64_t kMaxLatentHeads = int64_t{1} << 16;  // of all layers, for the same reason
constexpr int64_t kMaxNextnLayers = 16;

constexpr const char* kArchitectures[] = {"llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v3"};

Status in_range(const char* key, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return invalid(fmt::format("{} is {}, expected {} to {}", key, value, low, high));
}

Status positive(const char* key, double value) {
  if (value > 0.0 && value <= 1e30) return {};
  return invalid(fmt::format("{} is {}, expected above 0 and at most 1e30", key, value));
}

Status validate_rope(const RopeConfig& rope) {
  RETURN_IF_ERROR(positive("rope_theta", rope.theta));
  RETURN_IF_ERROR(positive("rope factor", rope.factor));
  if (rope.kind == RopeKind::kLlama3) {
    RETURN_IF_ERROR(positive("rope low_freq_factor", rope.low_freq_factor));
    if (!std::isfinite(rope.high_freq_factor) || rope.high_freq_factor <= rope.low_freq_factor) {
      return invalid(fmt::format("rope high_freq_factor is {}, expected above low_freq_factor, {}",
                                 rope.high_freq_factor, rope.low_freq_factor));
    }
  }
  if (rope.kind == RopeKind::kYarn) {
    RETURN_IF_ERROR(positive("rope beta_slow", rope.beta_slow));
    if (!std::isfinite(rope.beta_fast) || rope.beta_fast <= rope.beta_slow) {
      return invalid(fmt::format("rope beta_fast is {}, expected above beta_slow, {}",
                                 rope.beta_fast, rope.beta_slow));
    }
    for (const double mscale : {rope.mscale, rope.mscale_all_dim}) {
      if (!(mscale >= 0.0 && mscale <= 1e6))
        return invalid(fmt::format("rope mscale is {}, expected 0 to 1e6", mscale));
    }
    RETURN_IF_ERROR(positive("rope attention factor", rope.attention_scale()));
  }
  if (rope.kind == RopeKind::kLlama3 || rope.kind == RopeKind::kYarn) {
    return in_range("rope original_max_position_embeddings", rope.original_max_position_embeddings,
                    1, kMaxPositions);
  }
  return {};
}

// All parameters together, norms and biases aside, in long double so that no intermediate product
// can wrap.
long double parameter_count(const Config& c) {
  const auto real = [](int64_t n) { return static_cast<long double>(n); };
  const long double d = real(c.hidden_size);
  long double attention = real(c.q_size() + c.kv_size()) * 2 * d;
  if (c.is_mla()) {
    const MlaConfig& m = c.mla;
    const long double q_rank = real(m.q_lora_rank);
    attention = (m.q_lora_rank > 0 ? q_rank * (d + real(c.q_size())) : d * real(c.q_size())) +
                d * real(m.kv_lora_rank + m.qk_rope_head_dim) +
                real(c.num_attention_heads) * real(m.qk_nope_head_dim + m.v_head_dim) *
                    real(m.kv_lora_rank) +
                real(c.num_attention_heads) * real(m.v_head_dim) * d;
  }
  long double total = real(c.all_layers()) * attention + real(c.vocab_size) * d * 2;
  for (int64_t layer = 0; layer < c.all_layers(); ++layer) {
    total += 3 * d *
             (c.has_experts(layer) ? real(c.moe.moe_intermediate_size) *
                                         real(c.moe.n_routed_experts + c.moe.n_shared_experts)
                                   : real(c.intermediate_size));
  }
  return total;
}

Status validate_experts(const Config& c) {
  const MoeConfig& m = c.moe;
  RETURN_IF_ERROR(in_range("n_routed_experts", m.n_routed_experts, 0, kMaxExperts));
  if (m.n_routed_experts == 0) return {};
  RETURN_IF_ERROR(in_range("n_shared_experts", m.n_shared_experts, 0, kMaxExperts));
  RETURN_IF_ERROR(in_range("moe_intermediate_size", m.moe_intermediate_size, 1, kMaxIntermediate));
  RETURN_IF_ERROR(
      in_range("first_k_dense_replace", m.first_k_dense_replace, 0, c.num_hidden_layers));
  RETURN_IF_ERROR(in_range("moe_layer_freq", m.moe_layer_freq, 1, kMaxLayers));
  RETURN_IF_ERROR(in_range("n_group", m.n_group, 1, m.n_routed_experts));
  RETURN_IF_ERROR(in_range("topk_group", m.topk_group, 1, m.n_group));
  if (m.n_routed_experts % m.n_group != 0) {
    return invalid(fmt::format("n_group is {}, expected a divisor of n_routed_experts, {}",
                               m.n_group, m.n_routed_experts));
  }
  if (m.topk_method == TopkMethod::kGreedy && m.n_group != 1) {
    return invalid(fmt::format("n_group is {}, expected 1 where topk_method is greedy", m.n_group));
  }
  const int64_t group = m.n_routed_experts / m.n_group;
  if (m.topk_method == TopkMethod::kNoauxTc && m.n_group > 1 && group < 2) {
    return invalid(fmt::format("n_group is {}, expected groups of two experts or more", m.n_group));
  }
  RETURN_IF_ERROR(in_range("num_experts_per_tok", m.num_experts_per_tok, 1, m.topk_group * group));
  RETURN_IF_ERROR(positive("routed_scaling_factor", m.routed_scaling_factor));
  if (!(m.aux_loss_alpha >= 0.0 && m.aux_loss_alpha <= 1e30)) {
    return invalid(fmt::format("aux_loss_alpha is {}, expected 0 or more", m.aux_loss_alpha));
  }
  if (m.n_routed_experts * c.all_layers() > kMaxAllExperts) {
    return invalid(fmt::format("{} experts in each of {} layers, the limit is {} in all",
                               m.n_routed_experts, c.all_layers(), kMaxAllExperts));
  }
  return {};
}

// What only DeepSeek's architectures have.
Status validate_deepseek(const Config& c) {
  const MlaConfig& m = c.mla;
  RETURN_IF_ERROR(in_range("q_lora_rank", m.q_lora_rank, 0, kMaxHidden));
  RETURN_IF_ERROR(in_range("kv_lora_rank", m.kv_lora_rank, 1, kMaxHidden));
  RETURN_IF_ERROR(in_range("qk_nope_head_dim", m.qk_nope_head_dim, 1, kMaxHeadDim));
  RETURN_IF_ERROR(in_range("qk_rope_head_dim", m.qk_rope_head_dim, 2, kMaxHeadDim));
  RETURN_IF_ERROR(in_range("v_head_dim", m.v_head_dim, 1, kMaxHeadDim));
  RETURN_IF_ERROR(
      in_range("num_nextn_predict_layers", c.num_nextn_predict_layers, 0, kMaxNextnLayers));
  if (c.num_key_value_heads != c.num_attention_heads) {
    return invalid(fmt::format("num_key_value_heads is {}, expected num_attention_heads, {}",
                               c.num_key_value_heads, c.num_attention_heads));
  }
  if (c.num_attention_heads * c.all_layers() > kMaxLatentHeads) {
    return invalid(fmt::format("{} attention heads in each of {} layers, the limit is {} in all",
                               c.num_attention_heads, c.all_layers(), kMaxLatentHeads));
  }
  if (c.head_dim != m.qk_nope_head_dim + m.qk_rope_head_dim) {
    return invalid(fmt::format("head_dim is {}, expected qk_nope_head_dim + qk_rope_head_dim, {}",
                               c.head_dim, m.qk_nope_head_dim + m.qk_rope_head_dim));
  }
  return validate_experts(c);
}

}  // namespace

double RopeConfig::attention_scale() const {
  if (kind != RopeKind::kYarn) return 1.0;
  if (attention_factor) return *attention_factor;
  const auto scale = [&](double weight) {
    return factor <= 1.0 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
  };
  if (mscale != 0.0 && mscale_all_dim != 0.0) return scale(mscale) / scale(mscale_all_dim);
  return scale(1.0);
}

double Config::softmax_scale() const {
  const double plain = 1.0 / std::sqrt(static_cast<double>(head_dim));
  if (!is_mla() || rope.kind != RopeKind::kYarn || rope.factor <= 1.0) return plain;
  const double m = 0.1 * rope.mscale_all_dim * std::log(rope.factor) + 1.0;
  return plain * m * m;
}

bool Config::is_architecture(std::string_view name) {
  return std::find(std::begin(kArchitectures), std::end(kArchitectures), name) !=
         std::end(kArchitectures);
}

std::string Config::architectures() { return fmt::format("{}", fmt::join(kArchitectures, ", ")); }

Config Config::of(const std::string& name, bool attention_bias) {
  PONDER_CHECK(is_architecture(name), name);
  Config config;
  config.architecture = name;
  const bool deepseek = name.starts_with("deepseek");
  config.attention_bias = !deepseek && (name == "qwen2" || attention_bias);
  config.attention_output_bias = config.attention_bias && name != "qwen2";
  config.qk_norm = name == "qwen3";
  if (name == "deepseek_v3") {
    config.moe.topk_method = TopkMethod::kNoauxTc;
    config.moe.sigmoid = config.moe.norm_topk_prob = true;
  }
  return config;
}

Status validate(const Config& c) {
  if (!Config::is_architecture(c.architecture)) {
    return unsupported(fmt::format("architecture {}, expected one of {}", in_quotes(c.architecture),
                                   Config::architectures()));
  }
  const Config fixed = Config::of(c.architecture, c.attention_bias);
  if (c.attention_bias != fixed.attention_bias || c.qk_norm != fixed.qk_norm ||
      c.attention_output_bias != fixed.attention_output_bias) {
    return unsupported(fmt::format(
        "{} with these attention biases and norms: q, k, v biases {}, o bias {}, q/k norms {}",
        c.architecture, c.attention_bias, c.attention_output_bias, c.qk_norm));
  }
  RETURN_IF_ERROR(in_range("vocab_size", c.vocab_size, 1, kMaxVocab));
  RETURN_IF_ERROR(in_range("hidden_size", c.hidden_size, 1, kMaxHidden));
  RETURN_IF_ERROR(in_range("intermediate_size", c.intermediate_size, 1, kMaxIntermediate));
  RETURN_IF_ERROR(in_range("num_hidden_layers", c.num_hidden_layers, 1, kMaxLayers));
  RETURN_IF_ERROR(in_range("num_attention_heads", c.num_attention_heads, 1, kMaxHeads));
  RETURN_IF_ERROR(in_range("num_key_value_heads", c.num_key_value_heads, 1, kMaxHeads));
  const bool deepseek = c.architecture.starts_with("deepseek");
  if (deepseek) {
    RETURN_IF_ERROR(validate_deepseek(c));
  } else if (c.mla != MlaConfig{} || c.moe != MoeConfig{} || c.num_nextn_predict_layers != 0) {
    return unsupported(fmt::format("{} with latent attention or experts", c.architecture));
  }
  RETURN_IF_ERROR(in_range("head_dim", c.head_dim, 2, kMaxHeadDim));
  RETURN_IF_ERROR(in_range("max_position_embeddings", c.max_position_embeddings, 1, kMaxPositions));
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    return invalid(
        fmt::format("num_attention_heads is {}, expected a multiple of "
                    "num_key_value_heads, {}",
                    c.num_attention_heads, c.num_key_value_heads));
  }
  if (c.rope_dim() % 2 != 0) {
    return invalid(
        fmt::format("{} is {}, expected an even number: rotary embedding turns "
                    "pairs",
                    deepseek ? "qk_rope_head_dim" : "head_dim", c.rope_dim()));
  }
  if (parameter_count(c) > static_cast<long double>(kMaxParameters)) {
    return invalid(fmt::format("the sizes make {:.3g} parameters, the limit is {}",
                               static_cast<double>(parameter_count(c)), kMaxParameters));
  }
  if (!(c.rms_norm_eps > 0.0 && c.rms_norm_eps < 1.0)) {
    return invalid(fmt::format("rms_norm_eps is {}, expected between 0 and 1", c.rms_norm_eps));
  }
  RETURN_IF_ERROR(in_range("bos_token_id", c.bos_id, -1, c.vocab_size - 1));
  RETURN_IF_ERROR(in_range("pad_token_id", c.pad_id, -1, c.vocab_size - 1));
  for (const int64_t id : c.eos_ids) {
    RETURN_IF_ERROR(in_range("eos_token_id", id, 0, c.vocab_size - 1));
  }
  return validate_rope(c.rope);
}

}  // namespace ponder
