// What the engine's parity tests share: models, requests of all kinds, and how answers are compared:
// to the last bit (no value is NaN or zero of another sign).
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "engine/engine.h"
#include "model/gguf_writer.h"

namespace ponder {

using Ids = std::vector<int32_t>;
using Answers = std::vector<std::vector<Answer>>;  // by request

// What the tests run on: an architecture, the other form of latent attention, and that of a file.
constexpr const char* kModels[] = {"llama", "deepseek_v3", "absorbed", "absorbed_q8_0"};

inline Config config_of(const std::string& model) {
  const bool deepseek = model == "deepseek_v3" || model.starts_with("absorbed");
  Config config = Config::of(deepseek ? "deepseek_v3" : model);
  config.vocab_size = 64;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 256;
  config.tie_word_embeddings = true;
  if (!deepseek) return config;
  // Rows of whole q8_0 blocks, but for the halves that make keys, and values of no whole panel.
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.num_key_value_heads = 4;
  config.head_dim = 20;
  config.mla = {.q_lora_rank = 32,
                .kv_lora_rank = 64,
                .qk_nope_head_dim = 12,
                .qk_rope_head_dim = 8,
                .v_head_dim = 24};
  config.mla_absorb = model == "absorbed";
  config.moe.n_routed_experts = 8;
  config.moe.n_shared_experts = 1;
  config.moe.num_experts_per_tok = 3;
  config.moe.moe_intermediate_size = 32;
  config.moe.first_k_dense_replace = 1;
  config.moe.n_group = 4;
  config.moe.topk_group = 2;
  return config;
}

// Wide enough logits that a wrong bit soon shows in the tokens.
inline Model model_of(const std::string& name) {
  Model model = std::move(Model::create(config_of(name), 3)).value();
  for (float& w : model.flat_weights()) w *= 1.5f;
  if (name != "absorbed_q8_0") return model;
  const std::string path = testing::TempDir() + "ponder_engine_parity_" + std::to_string(getpid());
  EXPECT_TRUE(save_gguf(model, path, DType::kQ8_0, {}, {}).ok());
  Result<Model> read = Model::load(path, Model::Use::kInference);
  std::filesystem::remove(path);  // the map stays
  EXPECT_TRUE(read.ok() && read->config().absorbs());
  return std::move(read).value();
}

// Prompts from 1 token to several pages, 1 to 5 answers, all kinds of sampling.
inline std::vector<Request> mixed_requests() {
  std::vector<Request> out;
  for (uint64_t k = 0; k < 14; ++k) {
    Rng rng(2, hash64("engine parity"), k);
    Request r;
    r.prompt.resize(k == 0 ? 1 : k % 5 == 4 ? 64 * (1 + k % 2) : 1 + rng.below(140));
    for (int32_t& id : r.prompt) id = static_cast<int32_t>(rng.below(64));
    r.n = static_cast<int32_t>(1 + k % 5);
    r.key = hash64("answer") + (k << 20);
    r.sampling.seed = 77;
    r.sampling.max_new_tokens = static_cast<int32_t>(20 + 5 * k);
    r.sampling.stop_ids = {static_cast<int32_t>(k)};
    r.sampling.temperature = k % 4 == 1 ? 0.7 : k % 4 == 2 ? 0 : 1;
    if (k % 4 == 3) r.sampling.top_p = 0.9;
    if (k == 7) r.sampling.repetition_penalty = 1.2;
    out.push_back(std::move(r));
  }
  return out;
}

struct Bench {
  int64_t max_batch = 32;
  int64_t chunk = 512;
  int64_t pages = 256;
  int threads = 1;
  bool prefix_cache = false;
  DType kv_type = DType::kF32;
  Speculation speculation = Speculation::kNone;
  int64_t draft_tokens = 6;
  const Model* draft_model = nullptr;

  EngineOptions options() const {
    EngineOptions out;
    out.max_batch = max_batch;
    out.chunk = chunk;
    out.pages = pages;
    out.prefix_cache = prefix_cache;
    out.kv_type = kv_type;
    out.speculation = speculation;
    out.draft_tokens = draft_tokens;
    out.draft_model = draft_model;
    return out;
  }
};

// Runs all requests in an engine that may have been at work before.
inline std::vector<Output> run_in(Engine& engine, const std::vector<Request>& requests) {
  std::vector<RequestId> ids;
  for (const Request& r : requests) {
    auto id = engine.submit(r);
    EXPECT_TRUE(id.ok()) << id.status().message();
    ids.push_back(*id);
  }
  int64_t steps = 0;
  while (engine.busy() && ++steps < 1000000) EXPECT_TRUE(engine.step().ok());
  std::vector<Output> out;
  for (RequestId id : ids) out.push_back(std::move(engine.take(id)).value());
  EXPECT_EQ(engine.stats().pages_in_use, 0);
  return out;
}

inline Answers answers_of(std::vector<Output> outputs) {
  Answers out;
  for (Output& o : outputs) out.push_back(std::move(o.answers));
  return out;
}

inline Answers run(const Model& model, const std::vector<Request>& requests, const Bench& setup,
                   EngineStats* stats = nullptr) {
  ThreadPool pool(setup.threads);
  auto engine = std::move(Engine::create(model, pool, setup.options())).value();
  Answers out = answers_of(run_in(*engine, requests));
  if (stats != nullptr) *stats = engine->stats();
  return out;
}

inline void expect_same(const Answers& expected, const Answers& got, const std::string& what) {
  ASSERT_EQ(expected.size(), got.size());
  for (size_t r = 0; r < expected.size(); ++r) {
    ASSERT_EQ(expected[r].size(), got[r].size());
    for (size_t i = 0; i < expected[r].size(); ++i) {
      const Answer &a = expected[r][i], &b = got[r][i];
      ASSERT_EQ(a.tokens, b.tokens) << what << ", request " << r << ", answer " << i;
      ASSERT_EQ(a.logprobs, b.logprobs) << what << ", request " << r << ", answer " << i;
      ASSERT_EQ(a.entropies, b.entropies) << what << ", request " << r << ", answer " << i;
      ASSERT_EQ(a.reason, b.reason) << what;
      ASSERT_EQ(a.error, b.error) << what;
      ASSERT_EQ(a.top_logprobs, b.top_logprobs) << what;
      ASSERT_EQ(a.forced, b.forced) << what;
      ASSERT_EQ(a.thinking_tokens, b.thinking_tokens) << what;
    }
  }
}

}  // namespace ponder
