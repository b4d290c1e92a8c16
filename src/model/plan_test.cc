#include "model/plan.h"

#include <gtest/gtest.h>

#include "core/test_folder.h"

namespace ponder {
namespace {

// DeepSeek-R1's published config.json.
constexpr char kR1[] = R"({
  "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": false, "bos_token_id": 0,
  "eos_token_id": 1, "first_k_dense_replace": 3, "hidden_act": "silu", "hidden_size": 7168,
  "intermediate_size": 18432, "kv_lora_rank": 512, "max_position_embeddings": 163840,
  "model_type": "deepseek_v3", "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8,
  "n_routed_experts": 256, "n_shared_experts": 1, "norm_topk_prob": true,
  "num_attention_heads": 128, "num_experts_per_tok": 8, "num_hidden_layers": 61,
  "num_key_value_heads": 128, "num_nextn_predict_layers": 1, "q_lora_rank": 1536,
  "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06,
  "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0,
    "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096, "type": "yarn"},
  "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
  "tie_word_embeddings": false, "topk_group": 4, "topk_method": "noaux_tc",
  "torch_dtype": "bfloat16", "use_cache": true, "v_head_dim": 128, "vocab_size": 129280)";

Plan plan_of_config(const std::string& json) {
  const TestFolder folder;
  plant(folder / "config.json", json);
  const auto file = ModelFile::open(folder.path());
  EXPECT_TRUE(file.ok()) << file.status().message();
  return plan_of(file->config(), planned_tensors(*file));
}

TEST(Plan, TheWholeR1FromItsConfigAlone) {
  const Plan plan = plan_of_config(std::string(kR1) + "}");
  // Counted by hand from the paper's sizes.
  const int64_t expert = 3 * 7168 * 2048;
  const int64_t attention =
      7168 * 1536 + 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 + 512 * 128 * 256 + 128 * 128 * 7168;
  const int64_t per_layer = attention + 2 * 7168;
  const int64_t dense = 3 * 7168 * 18432, router = 256 * 7168 + 256, table = int64_t{129280} * 7168;
  EXPECT_EQ(plan.parameters,
            61 * per_layer + 3 * dense + 58 * (257 * expert + router) + 7168 + 2 * table);
  EXPECT_EQ(plan.active_parameters,
            61 * per_layer + 3 * dense + 58 * (9 * expert + router) + 7168 + table + 7168);
  EXPECT_EQ((plan.parameters + 500'000'000) / 1'000'000'000, 671);
  EXPECT_EQ((plan.active_parameters + 500'000'000) / 1'000'000'000, 37);
  EXPECT_EQ(plan.cache_values_per_token * 2, 70272);  // bytes in bf16
  EXPECT_GT(plan.next_token_parameters, 257 * expert);
  EXPECT_EQ(plan.bytes, 2 * (plan.parameters + plan.next_token_parameters));
}

TEST(Plan, Fp8KeepsEmbeddingsAndRouters) {
  const TestFolder folder;
  plant(folder / "config.json", std::string(kR1) + "}");
  plant(folder / "quantize_config.json",
        R"({"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]})");
  const auto file = ModelFile::open(folder.path());
  ASSERT_TRUE(file.ok()) << file.status().message();
  const Plan plan = plan_of(file->config(), planned_tensors(*file));
  int64_t fp8 = 0;
  for (const PlanGroup& group : plan.groups) {
    const bool matrices =
        group.kind == TensorClass::kAttention || group.kind == TensorClass::kExperts ||
        group.kind == TensorClass::kSharedExperts || group.kind == TensorClass::kFeedForward;
    if (group.kind != TensorClass::kNextToken) {
      EXPECT_EQ(group.type == "f8_e4m3", matrices);
    }
    if (group.type == "f8_e4m3") fp8 += group.parameters;
    if (group.kind == TensorClass::kExperts) {
      EXPECT_EQ(group.bytes, group.parameters + group.parameters / (128 * 128) * 4);
    }
  }
  EXPECT_GT(fp8, plan.parameters / 100 * 99);
}

TEST(Plan, ADenseModel) {
  const Plan plan = plan_of_config(R"({"model_type": "qwen2", "vocab_size": 100, "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": true})");
  const int64_t attention = 64 * 64 * 2 + 64 * 32 * 2 + 64 + 32 * 2;
  EXPECT_EQ(plan.parameters, 100 * 64 + 2 * (attention + 3 * 64 * 96 + 2 * 64) + 64);
  EXPECT_EQ(plan.active_parameters, plan.parameters);
  EXPECT_EQ(plan.cache_values_per_token, 2 * 2 * 32);
  EXPECT_EQ(plan.next_token_parameters, 0);
}

TEST(Plan, BothNamingsAgree) {
  Config config = Config::of("llama");
  config.num_hidden_layers = 2;
  const std::pair<const char*, TensorClass> expected[] = {
      {"model.embed_tokens.weight", TensorClass::kEmbedding},
      {"token_embd.weight", TensorClass::kEmbedding},
      {"lm_head.weight", TensorClass::kHead},
      {"output.weight", TensorClass::kHead},
      {"output_norm.weight", TensorClass::kNorms},
      {"model.layers.1.self_attn.q_proj.bias", TensorClass::kAttention},
      {"blk.1.attn_q.bias", TensorClass::kAttention},
      {"model.layers.1.self_attn.q_norm.weight", TensorClass::kNorms},
      {"blk.1.attn_q_norm.weight", TensorClass::kNorms},
      {"model.layers.0.mlp.gate_proj.weight", TensorClass::kFeedForward},
      {"blk.0.ffn_gate.weight", TensorClass::kFeedForward},
      {"blk.0.ffn_norm.weight", TensorClass::kNorms},
      {"model.layers.0.mlp.gate.weight", TensorClass::kRouter},
      {"model.layers.0.mlp.gate.e_score_correction_bias", TensorClass::kRouter},
      {"blk.0.ffn_gate_inp.weight", TensorClass::kRouter},
      {"blk.0.exp_probs_b.bias", TensorClass::kRouter},
      {"model.layers.0.mlp.experts.12.up_proj.weight", TensorClass::kExperts},
      {"blk.0.ffn_up_exps.weight", TensorClass::kExperts},
      {"model.layers.0.mlp.shared_experts.up_proj.weight", TensorClass::kSharedExperts},
      {"blk.0.ffn_up_shexp.weight", TensorClass::kSharedExperts},
      {"model.layers.2.eh_proj.weight", TensorClass::kNextToken},
      {"blk.2.nextn.eh_proj.weight", TensorClass::kNextToken},
  };
  for (const auto& [name, kind] : expected) EXPECT_EQ(class_of(config, name), kind) << name;
}

}  // namespace
}  // namespace ponder
