#include <fmt/format.h>

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

Status read_rope(const GgufMetadata& metadata, const Keys& keys, Config& config) {
  RopeConfig& rope = config.rope;
  ASSIGN_OR_RETURN(rope.theta, keys.number("rope.freq_base", 10000.0));
  const std::string type_key = config.architecture + ".rope.scaling.type";
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
  // llama.cpp multiplies this by the default scale.
  const char* key = keys.has("rope.scaling.attn_factor") ? "rope.scaling.attn_factor"
                                                         : "rope.scaling.yarn_attn_factor";
  ASSIGN_OR_RETURN(const double scale, keys.number(key, 1.0));
  if (scale != 1.0) rope.attention_factor = scale * default_yarn_scale(rope.factor);
  return {};
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

Status read_sizes(const Keys& keys, Config& config) {
  ASSIGN_OR_RETURN(config.hidden_size, keys.integer("embedding_length"));
  ASSIGN_OR_RETURN(config.intermediate_size, keys.integer("feed_forward_length"));
  ASSIGN_OR_RETURN(config.num_hidden_layers, keys.integer("block_count"));
  ASSIGN_OR_RETURN(config.max_position_embeddings, keys.integer("context_length"));
  ASSIGN_OR_RETURN(config.num_attention_heads, keys.integer("attention.head_count"));
  ASSIGN_OR_RETURN(config.num_key_value_heads,
                   keys.integer("attention.head_count_kv", config.num_attention_heads));
  ASSIGN_OR_RETURN(config.rms_norm_eps, keys.number("attention.layer_norm_rms_epsilon"));
  if (config.num_attention_heads < 1) {
    return invalid(
        fmt::format("attention.head_count is {}, expected at least 1", config.num_attention_heads));
  }
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

}  // namespace

Result<Config> config_from_gguf(const GgufFile& file) {
  const GgufMetadata& metadata = file.metadata();
  ASSIGN_OR_RETURN(const std::string* name, metadata.string("general.architecture"));
  if (!Config::is_architecture(*name)) {
    return unsupported(fmt::format(
        "key \"general.architecture\" is {}, expected llama, qwen2 or qwen3", in_quotes(*name)));
  }
  Config config = Config::of(*name, file.tensors().find("blk.0.attn_q.bias") != nullptr);
  const Keys keys(metadata, *name + ".");
  RETURN_IF_ERROR(read_sizes(keys, config));
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

Status config_to_gguf(const Config& config, GgufMetadata& metadata) {
  const RopeConfig& rope = config.rope;
  if (!rope.truncate) return unsupported("GGUF has no key for YaRN without truncation");
  metadata.set("general.architecture", GgufValue::string(config.architecture));
  const auto set = [&](const char* key, GgufValue value) {
    metadata.set(config.architecture + "." + key, std::move(value));
  };
  const auto set_u32 = [&](const char* key, int64_t value) {
    set(key, GgufValue::u32(static_cast<uint32_t>(value)));  // validate() keeps all below 2^32
  };
  const auto set_f32 = [&](const char* key, double value) {
    set(key, GgufValue::f32(static_cast<float>(value)));
  };
  set_u32("block_count", config.num_hidden_layers);
  set_u32("context_length", config.max_position_embeddings);
  set_u32("embedding_length", config.hidden_size);
  set_u32("feed_forward_length", config.intermediate_size);
  set_u32("attention.head_count", config.num_attention_heads);
  set_u32("attention.head_count_kv", config.num_key_value_heads);
  set_u32("attention.key_length", config.head_dim);
  set_u32("attention.value_length", config.head_dim);
  set_u32("rope.dimension_count", config.head_dim);
  set_u32("vocab_size", config.vocab_size);
  set_f32("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  set_f32("rope.freq_base", rope.theta);
  if (rope.kind == RopeKind::kLinear || rope.kind == RopeKind::kYarn) {
    set("rope.scaling.type", GgufValue::string(rope.kind == RopeKind::kLinear ? "linear" : "yarn"));
    set_f32("rope.scaling.factor", rope.factor);
  }
  if (rope.kind == RopeKind::kYarn) {
    set_u32("rope.scaling.original_context_length", rope.original_max_position_embeddings);
    set_f32("rope.scaling.yarn_beta_fast", rope.beta_fast);
    set_f32("rope.scaling.yarn_beta_slow", rope.beta_slow);
    const double relative = rope.attention_scale() / default_yarn_scale(rope.factor);
    if (relative != 1.0) set_f32("rope.scaling.attn_factor", relative);
  }
  const auto set_id = [&](const char* key, int64_t id) {
    if (id >= 0) metadata.set(key, GgufValue::u32(static_cast<uint32_t>(id)));
  };
  set_id("tokenizer.ggml.bos_token_id", config.bos_id);
  set_id("tokenizer.ggml.eos_token_id", config.eos_ids.empty() ? -1 : config.eos_ids[0]);
  set_id("tokenizer.ggml.padding_token_id", config.pad_id);
  return {};
}

}  // namespace ponder
