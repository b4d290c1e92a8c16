#include "model/tensor_names.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace ponder {
namespace {

Config small(const std::string& architecture) {
  Config c = Config::of(architecture);
  c.vocab_size = 320;
  c.hidden_size = 64;
  c.intermediate_size = 176;
  c.num_hidden_layers = 12;
  c.num_attention_heads = 8;
  c.num_key_value_heads = 2;
  c.head_dim = 24;
  c.max_position_embeddings = 2048;
  EXPECT_TRUE(validate(c).ok()) << validate(c).message();
  return c;
}

TEST(TensorNames, EveryExpectedNameTranslatesBothWays) {
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    std::set<std::string> seen;
    for (const TensorSpec& spec : expected_tensors(small(architecture))) {
      const auto name = gguf_name(spec.name);
      ASSERT_TRUE(name.has_value()) << spec.name;
      EXPECT_EQ(hf_name(*name), spec.name);
      EXPECT_TRUE(seen.insert(*name).second);
    }
    EXPECT_TRUE(seen.contains("blk.11.ffn_down.weight"));
  }
  EXPECT_EQ(gguf_name("model.layers.3.self_attn.q_proj.bias"), "blk.3.attn_q.bias");
  EXPECT_EQ(hf_name("output_norm.weight"), "model.norm.weight");
  for (const char* name :
       {"", "model.layers.", "model.layers.1.weight", "model.layers.x.input_layernorm.weight",
        "model.layers.1.mlp.weight", "model.norm", "lm_head.scale"}) {
    EXPECT_FALSE(gguf_name(name).has_value()) << name;
  }
}

TEST(TensorNames, ShapesOfTheArchitectures) {
  const auto shape_of = [](const Config& config, const std::string& name) {
    for (const TensorSpec& spec : expected_tensors(config)) {
      if (spec.name == name) return spec.shape;
    }
    return std::vector<int64_t>();
  };
  Config qwen3 = small("qwen3");
  const std::string layer = "model.layers.2.";
  EXPECT_EQ(shape_of(qwen3, layer + "self_attn.q_proj.weight"), (std::vector<int64_t>{192, 64}));
  EXPECT_EQ(shape_of(qwen3, layer + "self_attn.k_proj.weight"), (std::vector<int64_t>{48, 64}));
  EXPECT_EQ(shape_of(qwen3, layer + "self_attn.o_proj.weight"), (std::vector<int64_t>{64, 192}));
  EXPECT_EQ(shape_of(qwen3, layer + "self_attn.k_norm.weight"), (std::vector<int64_t>{24}));
  EXPECT_TRUE(shape_of(qwen3, layer + "self_attn.q_proj.bias").empty());
  EXPECT_EQ(shape_of(small("qwen2"), layer + "self_attn.k_proj.bias"), (std::vector<int64_t>{48}));
  EXPECT_TRUE(shape_of(small("qwen2"), layer + "self_attn.o_proj.bias").empty());
  EXPECT_EQ(expected_tensors(qwen3).size(), 3u + 12u * 11u);
  qwen3.tie_word_embeddings = true;
  EXPECT_TRUE(shape_of(qwen3, "lm_head.weight").empty());
}

TensorTable table_of(const Config& config) {
  TensorTable table;
  for (const TensorSpec& spec : expected_tensors(config)) {
    EXPECT_TRUE(table.add({spec.name, DType::kF32, "f32", spec.shape, {}}).ok());
  }
  return table;
}

TEST(TensorNames, CheckFindsWhatDoesNotFit) {
  const Config config = small("qwen2");
  EXPECT_TRUE(check_tensors(config, table_of(config), Naming::kHuggingFace).ok());
  EXPECT_FALSE(check_tensors(config, table_of(config), Naming::kGguf).ok());

  Config more = config;
  ++more.num_hidden_layers;
  const Status missing = check_tensors(more, table_of(config), Naming::kHuggingFace);
  EXPECT_NE(missing.message().find("model.layers.12.input_layernorm.weight\" is missing"),
            std::string::npos);
  Config wider = config;
  wider.vocab_size = 400;
  const Status shape = check_tensors(wider, table_of(config), Naming::kHuggingFace);
  EXPECT_NE(shape.message().find("shape (320, 64), expected (400, 64)"), std::string::npos);
  const Status unused = check_tensors(config, table_of(more), Naming::kHuggingFace);
  EXPECT_NE(unused.message().find("no place"), std::string::npos);

  Config tied = config;
  tied.tie_word_embeddings = true;  // a stored copy of the head may stay unused
  EXPECT_TRUE(check_tensors(tied, table_of(config), Naming::kHuggingFace).ok());
}

TEST(TensorNames, RowsOfRotaryPairs) {
  // Two heads of 6: GGUF puts row 0 and row 3 of a head side by side.
  std::vector<int16_t> hf(24), gguf(24), back(24);  // rows of two values
  for (size_t i = 0; i < hf.size(); ++i) hf[i] = static_cast<int16_t>(i);
  rows_hf_to_gguf(hf.data(), gguf.data(), 12, 4, 6);
  std::vector<int> order;
  for (size_t row = 0; row < 12; ++row) {
    EXPECT_EQ(gguf[2 * row + 1], gguf[2 * row] + 1);
    order.push_back(gguf[2 * row] / 2);
  }
  EXPECT_EQ(order, (std::vector<int>{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}));
  rows_gguf_to_hf(gguf.data(), back.data(), 12, 4, 6);
  EXPECT_EQ(back, hf);
  EXPECT_TRUE(has_paired_rows_in_gguf(small("llama"), "model.layers.0.self_attn.k_proj.bias"));
  EXPECT_FALSE(has_paired_rows_in_gguf(small("llama"), "model.layers.0.self_attn.v_proj.weight"));
  EXPECT_FALSE(has_paired_rows_in_gguf(small("qwen2"), "model.layers.0.self_attn.q_proj.weight"));
}

}  // namespace
}  // namespace ponder
