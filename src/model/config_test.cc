#include "model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "core/test_folder.h"

namespace ponder {
namespace {

using nlohmann::json;

json small(const std::string& type) {
  return {{"model_type", type},       {"vocab_size", 320},
          {"hidden_size", 64},        {"intermediate_size", 176},
          {"num_hidden_layers", 3},   {"num_attention_heads", 8},
          {"num_key_value_heads", 2}, {"max_position_embeddings", 2048},
          {"rms_norm_eps", 1e-6},     {"rope_theta", 10000.0},
          {"bos_token_id", 0},        {"eos_token_id", {1, 2}}};
}

// V3 in small, as published.
json deepseek() {
  json out = small("deepseek_v3");
  out.update({{"num_key_value_heads", 8},
              {"q_lora_rank", 40},
              {"kv_lora_rank", 32},
              {"qk_nope_head_dim", 24},
              {"qk_rope_head_dim", 16},
              {"v_head_dim", 20},
              {"n_routed_experts", 16},
              {"n_shared_experts", 1},
              {"num_experts_per_tok", 4},
              {"moe_intermediate_size", 48},
              {"first_k_dense_replace", 1},
              {"n_group", 4},
              {"topk_group", 2},
              {"topk_method", "noaux_tc"},
              {"scoring_func", "sigmoid"},
              {"norm_topk_prob", true},
              {"routed_scaling_factor", 2.5},
              {"num_nextn_predict_layers", 1},
              {"rope_scaling",
               {{"type", "yarn"},
                {"factor", 40},
                {"original_max_position_embeddings", 64},
                {"mscale", 1.0},
                {"mscale_all_dim", 1.0}}}});
  return out;
}

json with(json object, const std::string& key, json value) {
  object[key] = std::move(value);
  return object;
}

Config read(const json& object) {
  const auto config = config_from_json(object.dump());
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *config : Config{};
}

std::string error_of(const json& object) {
  const auto config = config_from_json(object.dump());
  EXPECT_FALSE(config.ok()) << object.dump();
  return config.status().message();
}

TEST(Config, ReadsLlama) {
  const Config c = read(small("llama"));
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.head_dim, 8);
  EXPECT_EQ(c.q_size(), 64);
  EXPECT_EQ(c.kv_size(), 16);
  EXPECT_EQ(c.eos_ids, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(c.pad_id, -1);
  EXPECT_FALSE(c.attention_bias || c.attention_output_bias || c.qk_norm || c.tie_word_embeddings);
  EXPECT_EQ(c.rope.kind, RopeKind::kNone);
}

TEST(Config, ArchitecturesFixBiasesAndNorms) {
  const Config qwen2 = read(small("qwen2"));
  EXPECT_TRUE(qwen2.attention_bias);
  EXPECT_FALSE(qwen2.attention_output_bias || qwen2.qk_norm);
  const Config qwen3 = read(small("qwen3"));
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.attention_bias);
  EXPECT_EQ(qwen3.head_dim, 128);
  const Config biased = read(with(small("llama"), "attention_bias", true));
  EXPECT_TRUE(biased.attention_bias && biased.attention_output_bias);
}

TEST(Config, ReadsDeepseek) {
  const Config c = read(deepseek());
  EXPECT_TRUE(c.is_mla());
  EXPECT_EQ(c.head_dim, 40);
  EXPECT_EQ(c.rope_dim(), 16);
  EXPECT_EQ(c.q_size(), 8 * 40);
  EXPECT_EQ(c.moe.topk_method, TopkMethod::kNoauxTc);
  EXPECT_TRUE(c.moe.sigmoid && c.moe.norm_topk_prob);
  EXPECT_FALSE(c.has_experts(0));
  EXPECT_TRUE(c.has_experts(1) && c.has_experts(3));
  EXPECT_EQ(c.all_layers(), 4);
  EXPECT_EQ(c.moe.n_group, 4);
  // The absorbed form unless told otherwise.
  EXPECT_FALSE(c.mla_absorb.has_value());
  EXPECT_TRUE(c.absorbs());
  EXPECT_FALSE(read(with(deepseek(), "mla_absorb", false)).absorbs());

  json lite = with(deepseek(), "q_lora_rank", nullptr);
  lite["model_type"] = "deepseek_v2";
  for (const char* key : {"topk_method", "scoring_func", "norm_topk_prob", "n_group",
                          "first_k_dense_replace", "routed_scaling_factor"}) {
    lite.erase(key);
  }
  const Config v2 = read(lite);
  EXPECT_EQ(v2.mla.q_lora_rank, 0);
  EXPECT_EQ(v2.moe.topk_method, TopkMethod::kGreedy);
  EXPECT_FALSE(v2.moe.sigmoid || v2.moe.norm_topk_prob);
  EXPECT_TRUE(v2.has_experts(0));
  EXPECT_EQ(v2.moe.n_group, 1);
  EXPECT_EQ(v2.moe.topk_group, 1);
}

// V3: 192^-0.5 * (0.1 ln 40 + 1)^2; cos and sin stay as they are.
TEST(Config, DeepseeksYarnScalesTheSoftmax) {
  Config c = read(deepseek());
  c.head_dim = 192;
  EXPECT_NEAR(c.softmax_scale(), 0.135234, 1e-6);
  EXPECT_EQ(c.rope.attention_scale(), 1.0);
  c.rope.mscale = c.rope.mscale_all_dim = 0.707;
  const double m = 0.0707 * std::log(40.0) + 1;
  EXPECT_DOUBLE_EQ(c.softmax_scale(), m * m / std::sqrt(192.0));
  c.rope = {};
  EXPECT_DOUBLE_EQ(c.softmax_scale(), 1 / std::sqrt(192.0));
  EXPECT_DOUBLE_EQ(read(small("llama")).softmax_scale(), 1 / std::sqrt(8.0));
}

TEST(Config, DeepseeksErrorsNameKeyAndExpectation) {
  const auto expect = [&](const std::string& key, const json& value, const std::string& part) {
    const std::string message = error_of(with(deepseek(), key, value));
    EXPECT_NE(message.find(key), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect("kv_lora_rank", nullptr, "is missing");
  expect("kv_lora_rank", 0, "expected 1 to");
  expect("q_lora_rank", -1, "expected 0 to");
  expect("q_lora_rank", int64_t{1} << 40, "expected 0 to");
  expect("qk_nope_head_dim", INT64_MAX, "expected");
  expect("qk_nope_head_dim", INT64_MIN, "expected");
  expect("qk_rope_head_dim", 15, "even");
  expect("v_head_dim", 0, "expected 1 to");
  expect("num_key_value_heads", 2, "expected num_attention_heads, 8");
  expect("n_routed_experts", 100000, "expected 0 to");
  expect("n_routed_experts", 18, "divisor");
  expect("n_shared_experts", -1, "expected 0 to");
  expect("moe_intermediate_size", 0, "expected 1 to");
  expect("num_experts_per_tok", 9, "expected 1 to 8");
  expect("num_experts_per_tok", 0, "expected 1 to 8");
  expect("first_k_dense_replace", 4, "expected 0 to 3");
  expect("moe_layer_freq", 0, "expected 1 to");
  expect("n_group", 0, "expected 1 to");
  expect("topk_group", 5, "expected 1 to 4");
  expect("topk_method", "best", "expected greedy, group_limited_greedy or noaux_tc");
  expect("scoring_func", "tanh", "expected sigmoid or softmax");
  expect("routed_scaling_factor", 0, "expected above 0");
  expect("aux_loss_alpha", -1, "expected 0 or more");
  expect("num_nextn_predict_layers", 17, "expected 0 to 16");
  expect("attention_bias", true, "expected false");
  expect("rope_interleave", false, "expected true");
  expect("mla_absorb", 1, "expected true or false");
  json scaled = deepseek();
  scaled["rope_scaling"]["mscale_all_dim"] = -1;
  EXPECT_NE(error_of(scaled).find("mscale is -1, expected 0 to"), std::string::npos);
  // Many experts in many layers would make a list of tensors without end.
  json many = with(deepseek(), "n_routed_experts", 4096);
  EXPECT_NE(error_of(with(many, "num_hidden_layers", 4096)).find("in all"), std::string::npos);
  json heads = with(with(deepseek(), "num_attention_heads", 65536), "num_key_value_heads", 65536);
  EXPECT_NE(error_of(heads).find("in all"), std::string::npos);
  // A dense model has none of this.
  Config llama = read(small("llama"));
  llama.moe.n_routed_experts = 4;
  EXPECT_FALSE(validate(llama).ok());
}

TEST(Config, BothSpellingsOfRopeAgree) {
  const json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 64}};
  const json old_way = with(with(small("llama"), "rope_scaling", llama3), "rope_theta", 500000.0);
  json new_way = with(small("llama"), "rope_parameters", with(llama3, "rope_theta", 500000.0));
  new_way.erase("rope_theta");
  EXPECT_EQ(read(old_way), read(new_way));
  EXPECT_EQ(read(old_way).rope.kind, RopeKind::kLlama3);
  EXPECT_EQ(read(old_way).rope.theta, 500000.0);
  json by_type = old_way;
  by_type["rope_scaling"].erase("rope_type");
  by_type["rope_scaling"]["type"] = "llama3";
  EXPECT_EQ(read(old_way), read(by_type));
}

TEST(Config, YarnScales) {
  RopeConfig rope;
  EXPECT_EQ(rope.attention_scale(), 1.0);
  rope.kind = RopeKind::kYarn;
  rope.factor = 4.0;
  EXPECT_DOUBLE_EQ(rope.attention_scale(), 0.1 * std::log(4.0) + 1.0);
  rope.mscale = rope.mscale_all_dim = 0.7;
  EXPECT_EQ(rope.attention_scale(), 1.0);
  rope.attention_factor = 1.25;
  EXPECT_EQ(rope.attention_scale(), 1.25);
  // Without a factor: the ratio of the lengths.
  const Config c = read(with(small("qwen3"), "rope_scaling",
                             {{"type", "yarn"}, {"original_max_position_embeddings", 512}}));
  EXPECT_EQ(c.rope.factor, 4.0);
}

TEST(Config, ErrorsNameKeyAndExpectation) {
  const json good = small("llama");
  const auto expect = [&](const std::string& key, const json& value, const std::string& part) {
    const std::string message = error_of(with(good, key, value));
    EXPECT_NE(message.find(key.substr(0, 4)), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect("model_type", "gemma", "expected one of llama, qwen2, qwen3, deepseek_v2, deepseek_v3");
  expect("vocab_size", 0, "expected 1 to");
  expect("vocab_size", "many", "expected an integer");
  expect("vocab_size", 1e300, "expected an integer");
  expect("vocab_size", 3.5, "expected an integer");
  expect("vocab_size", nullptr, "is missing");
  expect("hidden_size", -64, "expected");
  expect("hidden_size", 65, "expected");
  expect("num_hidden_layers", 4000000000u, "expected 1 to 4096");
  expect("num_attention_heads", 0, "expected");
  expect("head_dim", 7, "even");
  expect("rms_norm_eps", 0.0, "expected between");
  expect("rope_theta", -1, "expected above 0");
  expect("hidden_act", "gelu", "expected \"silu\"");
  expect("mlp_bias", true, "expected false");
  expect("bos_token_id", 320, "expected -1 to 319");
  expect("eos_token_id", {1, 320}, "expected 0 to 319");
  expect("eos_token_id", {"1"}, "expected an integer");
  expect("tie_word_embeddings", "yes", "expected true or false");
  expect("rope_scaling", 3, "expected an object");
  expect("rope_scaling", {{"type", "dynamic"}}, "expected default, linear, llama3 or yarn");
  expect("rope_scaling", {{"type", "linear"}}, "factor is missing");
  expect("rope_scaling", {{"type", "yarn"}, {"original_max_position_embeddings", 0}}, "expected");
  expect("layer_types", {"sliding_attention"}, "full_attention");
  EXPECT_NE(error_of(with(good, "num_key_value_heads", 3)).find("multiple"), std::string::npos);
  EXPECT_FALSE(config_from_json("[]").ok());
  EXPECT_FALSE(config_from_json("{").ok());
  json large = with(with(good, "hidden_size", 1 << 20), "intermediate_size", 1 << 22);
  large["head_dim"] = 64;
  EXPECT_NE(error_of(with(large, "num_hidden_layers", 4096)).find("parameters"), std::string::npos);
}

TEST(Config, JsonRoundTrip) {
  json yarn = with(small("qwen3"), "rope_scaling",
                   {{"rope_type", "yarn"},
                    {"factor", 4.0},
                    {"original_max_position_embeddings", 32},
                    {"attention_factor", 1.5},
                    {"beta_fast", 16},
                    {"truncate", false}});
  for (const json& object :
       {small("llama"), small("qwen2"), yarn, deepseek(), with(deepseek(), "mla_absorb", true),
        with(with(deepseek(), "topk_method", "greedy"), "aux_loss_alpha", 0.001),
        with(with(deepseek(), "topk_method", "group_limited_greedy"), "scoring_func", "softmax"),
        with(with(deepseek(), "n_routed_experts", nullptr), "q_lora_rank", nullptr),
        with(small("llama"), "attention_bias", true),
        with(small("llama"), "rope_scaling", {{"type", "linear"}, {"factor", 2}}),
        with(small("qwen2"), "eos_token_id", 5), with(small("qwen2"), "eos_token_id", nullptr)}) {
    const Config config = read(object);
    const std::string text = config_to_json(config, DType::kBF16);
    const auto again = config_from_json(text);
    ASSERT_TRUE(again.ok()) << again.status().message() << text;
    EXPECT_EQ(*again, config) << text;
    EXPECT_EQ(json::parse(text)["torch_dtype"], "bfloat16");
  }
}

// A GGUF file of the metadata alone.
Result<Config> through_gguf(const GgufMetadata& metadata) {
  const std::string path = test_path("config_test.gguf");
  EXPECT_TRUE(write_gguf(path, metadata, {}).ok());
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  return config_from_gguf(file);
}

TEST(Config, GgufRoundTrip) {
  json yarn =
      with(small("qwen3"), "rope_scaling",
           {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}});
  json v2 =
      with(with(deepseek(), "topk_method", "group_limited_greedy"), "scoring_func", "softmax");
  v2["model_type"] = "deepseek_v2";
  v2["rope_scaling"]["mscale"] = v2["rope_scaling"]["mscale_all_dim"] = 0.707;
  // Which method chooses experts, only the tensors show: a file without tensors is V3's.
  const json plain = with(with(v2, "topk_method", "greedy"), "q_lora_rank", nullptr);
  for (json object : {small("llama"), yarn, deepseek(), v2, plain}) {
    object["eos_token_id"] = 1;
    const Config config = read(object);
    GgufMetadata metadata;
    ASSERT_TRUE(config_to_gguf(config, metadata).ok());
    const auto again = through_gguf(metadata);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(*again, config);
  }
}

TEST(Config, WhatGgufCannotSayIsAnError) {
  GgufMetadata metadata;
  for (const json& object :
       {with(deepseek(), "moe_layer_freq", 2),
        with(deepseek(), "rope_scaling", with(deepseek()["rope_scaling"], "mscale", 0.5))}) {
    EXPECT_EQ(config_to_gguf(read(object), metadata).code(), Code::kUnsupported);
  }
}

TEST(Config, GgufKeysOfDeepseekAreChecked) {
  GgufMetadata good;
  ASSERT_TRUE(config_to_gguf(read(with(deepseek(), "eos_token_id", 1)), good).ok());
  const auto expect = [&](const std::string& key, GgufValue value, const char* part) {
    GgufMetadata bad = good;
    bad.set("deepseek2." + key, std::move(value));
    const auto config = through_gguf(bad);
    ASSERT_FALSE(config.ok()) << key;
    EXPECT_NE(config.status().message().find(part), std::string::npos) << config.status().message();
  };
  expect("attention.kv_lora_rank", GgufValue::u32(0), "kv_lora_rank");
  expect("attention.key_length_mla", GgufValue::u32(16), "less than a head's width");
  expect("attention.key_length_mla", GgufValue::u32(4000000000u), "head_dim");
  expect("expert_count", GgufValue::u32(4000000000u), "n_routed_experts");
  expect("expert_gating_func", GgufValue::u32(3), "expected 1 (softmax) or 2 (sigmoid)");
  expect("expert_weights_norm", GgufValue::string("yes"), "expert_weights_norm");
  expect("expert_used_count", GgufValue::u32(17), "num_experts_per_tok");
  expect("nextn_predict_layers", GgufValue::u32(4000000000u), "num_");
  expect("rope.scaling.attn_factor", GgufValue::f32(2), "expected 1");
  expect("rope.scaling.yarn_log_multiplier", GgufValue::f32(NAN), "mscale");
}

TEST(Config, GgufKeysAreChecked) {
  GgufMetadata good;
  ASSERT_TRUE(config_to_gguf(read(small("llama")), good).ok());
  const auto expect = [&](const char* key, GgufValue value, const char* part) {
    GgufMetadata bad = good;
    bad.set(key, std::move(value));
    const auto config = through_gguf(bad);
    ASSERT_FALSE(config.ok()) << key;
    EXPECT_NE(config.status().message().find(part), std::string::npos) << config.status().message();
  };
  expect("general.architecture", GgufValue::string("gemma"), "expected llama");
  expect("llama.attention.head_count", GgufValue::u32(0), "head_count is 0");
  expect("llama.attention.head_count", GgufValue::u32(1u << 31), "num_attention_heads");
  expect("llama.attention.head_count", GgufValue::string("8"), "expected an integer");
  expect("llama.block_count", GgufValue::u32(4000000000u), "num_hidden_layers");
  expect("llama.rope.dimension_count", GgufValue::u32(4), "expected the same");
  expect("llama.rope.scaling.type", GgufValue::string("longrope"), "expected none, linear or yarn");
  expect("llama.expert_count", GgufValue::u32(8), "dense");
  EXPECT_EQ(through_gguf({}).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace ponder
