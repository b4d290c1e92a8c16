// The shape and constants of a dense decoder: llama, qwen2, qwen3. Read from a Hugging Face
// config.json (both spellings of the rotary settings) or from GGUF metadata, and written to both.
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

struct Config {
  // "llama", "qwen2" or "qwen3" with what the name fixes: biases and q/k norms (llama and qwen3:
  // biases only on request). REQUIRES: is_architecture(name)
  static Config of(const std::string& name, bool attention_bias = false);
  static bool is_architecture(std::string_view name);

  std::string architecture;  // "llama", "qwen2", "qwen3"
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  bool attention_bias = false;         // q, k, v have biases
  bool attention_output_bias = false;  // o has one
  bool qk_norm = false;                // q and k are normalised per head
  RopeConfig rope;
  int64_t bos_id = -1;  // -1: none
  int64_t pad_id = -1;
  std::vector<int64_t> eos_ids;  // in the order of the file

  int64_t q_size() const { return num_attention_heads * head_dim; }
  int64_t kv_size() const { return num_key_value_heads * head_dim; }

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
// the tensor rope_freqs.weight. kUnsupported for what GGUF has no key for (YaRN without
// truncation).
Status config_to_gguf(const Config& config, GgufMetadata& metadata);

}  // namespace ponder
