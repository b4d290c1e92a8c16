// The shape and constants of a decoder: dense (llama, qwen2, qwen3) or DeepSeek's with latent
// attention and experts (deepseek_v2, deepseek_v3). Read from a Hugging Face config.json (both
// spellings of the rotary settings) or from GGUF metadata, and written to both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/status.h"
#include "io/gguf.h"

namespace ponder {

enum class RopeKind : uint8_t { kNone, kLinear, kLlama3, kYarn };

// Rotary embedding. Fields of other kinds than `kind` keep their defaults, so that equal settings
// compare equal. Source: the rope_utils of transformers; YaRN: arXiv 2309.00071.
struct RopeConfig {
  RopeKind kind = RopeKind::kNone;
  double theta = 10000.0;
  double factor = 1.0;            // linear, llama3, yarn
  double low_freq_factor = 1.0;   // llama3
  double high_freq_factor = 4.0;  // llama3
  int64_t original_max_position_embeddings =
      0;                    // llama3, yarn: tokens that the model was trained on before scaling
  double beta_fast = 32.0;  // yarn
  double beta_slow = 1.0;   // yarn
  bool truncate = true;     // yarn: whole bounds of the ramp
  std::optional<double>
      attention_factor;         // yarn: multiplies cos and sin; none: from factor and the mscales
  double mscale = 0.0;          // yarn; 0: not given
  double mscale_all_dim = 0.0;  // yarn; 0: not given

  // What cos and sin are multiplied by (1 unless yarn).
  double attention_scale() const;

  bool operator==(const RopeConfig&) const = default;
};

// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): keys and values are made from a
// latent of kv_lora_rank values, beside a rotated key of qk_rope_head_dim that all heads share.
struct MlaConfig {
  int64_t q_lora_rank = 0;   // 0: queries are projected at once
  int64_t kv_lora_rank = 0;  // 0: ordinary attention
  int64_t qk_nope_head_dim = 0;
  int64_t qk_rope_head_dim = 0;
  int64_t v_head_dim = 0;

  bool operator==(const MlaConfig&) const = default;
};

// How the published files say that experts are chosen: the best scores; the best within the groups
// with the best expert (V2); by corrected scores within the groups with the two best (V3).
enum class TopkMethod : uint8_t { kGreedy, kGroupLimitedGreedy, kNoauxTc };

struct MoeConfig {
  int64_t n_routed_experts = 0;  // 0: all layers are dense
  int64_t n_shared_experts = 0;
  int64_t num_experts_per_tok = 0;
  int64_t moe_intermediate_size = 0;
  int64_t first_k_dense_replace = 0;  // leading dense layers
  int64_t moe_layer_freq = 1;         // of the others, those whose index this divides have experts
  int64_t n_group = 1;
  int64_t topk_group = 1;
  TopkMethod topk_method = TopkMethod::kGreedy;
  bool sigmoid = false;  // scores: sigmoid of the logits, or their softmax
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1.0;
  double aux_loss_alpha = 0.0;  // of the balance loss; training only

  bool operator==(const MoeConfig&) const = default;
};

struct Config {
  // A configuration of architecture `name` with what the name fixes: biases and q/k norms (llama
  // and qwen3: biases only on request), and for DeepSeek how experts are scored and chosen unless
  // the file says otherwise. REQUIRES: is_architecture(name)
  static Config of(const std::string& name, bool attention_bias = false);
  static bool is_architecture(std::string_view name);
  // "llama, qwen2, ...", for messages.
  static std::string architectures();

  std::string architecture;  // model_type of config.json
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;  // of queries and keys; MLA: qk_nope_head_dim + qk_rope_head_dim
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  bool attention_bias = false;         // q, k, v have biases
  bool attention_output_bias = false;  // o has one
  bool qk_norm = false;                // q and k are normalised per head
  RopeConfig rope;
  MlaConfig mla;
  MoeConfig moe;
  // The form of latent attention in every phase: per-head products around the latent (absorbed, for
  // inference: caches kv_lora_rank + qk_rope_head_dim values a token) or plain keys and values
  // (expanded, for training). None: whoever loads the model decides; a Model's config says.
  std::optional<bool> mla_absorb;
  int64_t num_nextn_predict_layers = 0;  // layers after the last that predict the token after next
  bool nextn_shares_embeddings = false;  // they use the model's embedding and head
  int64_t bos_id = -1;                   // -1: none
  int64_t pad_id = -1;
  std::vector<int64_t> eos_ids;  // in the order of the file

  int64_t q_size() const { return num_attention_heads * head_dim; }
  int64_t kv_size() const { return num_key_value_heads * head_dim; }
  bool is_mla() const { return mla.kv_lora_rank > 0; }
  bool absorbs() const { return is_mla() && mla_absorb.value_or(true); }
  // Entries of a head that rotary embedding turns.
  int64_t rope_dim() const { return is_mla() ? mla.qk_rope_head_dim : head_dim; }
  bool has_experts(int64_t layer) const {
    return moe.n_routed_experts > 0 && layer >= moe.first_k_dense_replace &&
           layer % moe.moe_layer_freq == 0;
  }
  // Of all layers, those for the token after next included.
  int64_t all_layers() const { return num_hidden_layers + num_nextn_predict_layers; }
  // What attention multiplies scores by. DeepSeek's YaRN puts its scale here: mscale^2 of
  // mscale_all_dim (modeling_deepseek.py).
  double softmax_scale() const;

  bool operator==(const Config&) const = default;
};

// kInvalid or kUnsupported, naming key and expectation, unless all sizes are positive, within
// limits and fit one another. Every reader below ends with it.
Status validate(const Config& config);

// From the text of a config.json. Keys that change the computation in a way that this program does
// not do (another activation, a sliding window) are refused; unknown keys are ignored, as
// transformers does.
Result<Config> config_from_json(std::string_view text);

// From `folder`/config.json.
Result<Config> load_config(const std::string& folder);

// A config.json that transformers loads; `dtype` is that of the weights beside it.
std::string config_to_json(const Config& config, DType dtype);

// From a GGUF file's metadata and, for what that leaves open (size of the vocabulary, tied head,
// biases), its tensors. llama3 scaling is not in the metadata: such a file has the tensor
// rope_freqs.weight, which whoever loads the weights applies.
Result<Config> config_from_gguf(const GgufFile& file);

// Sets general.architecture and the architecture's keys in `metadata`. llama3 scaling belongs in
// the tensor rope_freqs.weight. kUnsupported for what GGUF has no key for: YaRN without truncation,
// DeepSeek's mscale apart from mscale_all_dim, moe_layer_freq. aux_loss_alpha and mla_absorb, which
// a file's reader does not need, are left out.
Status config_to_gguf(const Config& config, GgufMetadata& metadata);

}  // namespace ponder
