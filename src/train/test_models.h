// Tiny models that the tests of training share, beside engine/test_model.h.
#pragma once

#include "model/config.h"

namespace ponder {

// Two layers with 8 experts of which 2 are used; the first layer is dense.
inline Config expert_config() {
  Config c = Config::of("deepseek_v3");
  c.vocab_size = 64;
  c.hidden_size = 32;
  c.intermediate_size = 48;
  c.num_hidden_layers = 2;
  c.num_attention_heads = c.num_key_value_heads = 2;
  c.max_position_embeddings = 64;
  c.mla.kv_lora_rank = 16;
  c.mla.qk_nope_head_dim = 16;
  c.mla.qk_rope_head_dim = 8;
  c.mla.v_head_dim = 16;
  c.head_dim = 24;
  c.moe.n_routed_experts = 8;
  c.moe.n_shared_experts = 1;
  c.moe.num_experts_per_tok = 2;
  c.moe.moe_intermediate_size = 16;
  c.moe.first_k_dense_replace = 1;
  c.mla_absorb = false;
  return c;
}

}  // namespace ponder
