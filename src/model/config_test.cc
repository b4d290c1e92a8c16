#include "model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

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
  expect("model_type", "gemma", "expected llama, qwen2 or qwen3");
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
  expect("quantization_config", json::object(), "unquantized");
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
       {small("llama"), small("qwen2"), yarn, with(small("llama"), "attention_bias", true),
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
  const std::string path = testing::TempDir() + "ponder_config_test.gguf";
  EXPECT_TRUE(write_gguf(path, metadata, {}).ok());
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  return config_from_gguf(file);
}

TEST(Config, GgufRoundTrip) {
  json yarn =
      with(small("qwen3"), "rope_scaling",
           {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}});
  for (json object : {small("llama"), yarn}) {
    object["eos_token_id"] = 1;
    const Config config = read(object);
    GgufMetadata metadata;
    ASSERT_TRUE(config_to_gguf(config, metadata).ok());
    const auto again = through_gguf(metadata);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(*again, config);
  }
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
