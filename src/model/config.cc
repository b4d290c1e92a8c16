#include "model/config.h"

#include <fmt/format.h>

#include <cmath>

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
    RETURN_IF_ERROR(positive("rope attention factor", rope.attention_scale()));
  }
  if (rope.kind == RopeKind::kLlama3 || rope.kind == RopeKind::kYarn) {
    return in_range("rope original_max_position_embeddings", rope.original_max_position_embeddings,
                    1, kMaxPositions);
  }
  return {};
}

// All parameters together, in long double so that no intermediate product can wrap.
long double parameter_count(const Config& c) {
  const auto d = static_cast<long double>(c.hidden_size);
  const auto attention = static_cast<long double>(c.q_size() + c.kv_size()) * 2 * d;
  const auto mlp = static_cast<long double>(c.intermediate_size) * 3 * d;
  return static_cast<long double>(c.num_hidden_layers) * (attention + mlp) +
         static_cast<long double>(c.vocab_size) * d * 2;
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

bool Config::is_architecture(std::string_view name) {
  return name == "llama" || name == "qwen2" || name == "qwen3";
}

Config Config::of(const std::string& name, bool attention_bias) {
  PONDER_CHECK(is_architecture(name), name);
  Config config;
  config.architecture = name;
  config.attention_bias = name == "qwen2" || attention_bias;
  config.attention_output_bias = name != "qwen2" && attention_bias;
  config.qk_norm = name == "qwen3";
  return config;
}

Status validate(const Config& c) {
  if (!Config::is_architecture(c.architecture)) {
    return unsupported(
        fmt::format("architecture {}, expected llama, qwen2 or qwen3", in_quotes(c.architecture)));
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
  RETURN_IF_ERROR(in_range("head_dim", c.head_dim, 2, kMaxHeadDim));
  RETURN_IF_ERROR(in_range("max_position_embeddings", c.max_position_embeddings, 1, kMaxPositions));
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    return invalid(
        fmt::format("num_attention_heads is {}, expected a multiple of "
                    "num_key_value_heads, {}",
                    c.num_attention_heads, c.num_key_value_heads));
  }
  if (c.head_dim % 2 != 0) {
    return invalid(
        fmt::format("head_dim is {}, expected an even number: rotary embedding turns "
                    "pairs",
                    c.head_dim));
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
