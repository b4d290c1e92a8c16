// A tiny random model for tests.
#pragma once

#include <utility>

#include "model/model.h"

namespace ponder {

inline Config tiny_config(int64_t context = 512) {
  Config config = Config::of("llama");
  config.vocab_size = 64;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = context;
  config.tie_word_embeddings = false;
  return config;
}

inline Model tiny_model(int64_t context = 512) {
  return std::move(Model::create(tiny_config(context), 7)).value();
}

}  // namespace ponder
