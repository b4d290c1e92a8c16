// Any text as a config.json; what is accepted must survive being written and read again.
#include <string_view>

#include "core/file.h"
#include "fuzz.h"
#include "model/config.h"

namespace ponder {
namespace {

constexpr std::string_view kSeeds[] = {
    R"({"model_type":"llama","vocab_size":320,"hidden_size":64,"intermediate_size":176,"num_hidden_layers":3,
"num_attention_heads":8,"num_key_value_heads":2,"max_position_embeddings":2048,"rms_norm_eps":1e-06,"rope_theta":500000.0,
"rope_scaling":{"type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
"original_max_position_embeddings":64},"bos_token_id":0,"eos_token_id":[1,2]})",
    R"({"model_type":"qwen3","vocab_size":320,"hidden_size":64,"intermediate_size":176,"num_hidden_layers":3,
"num_attention_heads":8,"num_key_value_heads":2,"head_dim":24,"max_position_embeddings":2048,"hidden_act":"silu",
"tie_word_embeddings":true,"attention_bias":false,"rope_parameters":{"rope_type":"yarn","rope_theta":1e6,"factor":4.0,
"original_max_position_embeddings":32,"beta_fast":32,"beta_slow":1,"mscale":1.0,"mscale_all_dim":0.7,"truncate":false,
"attention_factor":1.1},"layer_types":["full_attention"],"eos_token_id":1})",
};

}  // namespace

void plant(const std::string& folder) { plant_seeds(folder, kSeeds); }

void run(std::string_view text) {
  const auto config = config_from_json(text);
  if (!config.ok()) return check_message(config.status());
  const std::string written = config_to_json(*config, DType::kF32);
  const auto again = config_from_json(written);
  PONDER_CHECK(again.ok(), again.status().message() + written);
  PONDER_CHECK(*again == *config, written);
  GgufMetadata metadata;
  check_message(config_to_gguf(*config, metadata));
}

}  // namespace ponder
