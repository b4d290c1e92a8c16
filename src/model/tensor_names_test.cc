#include "model/tensor_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>
#include <span>
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
  return c;
}

Config deepseek(bool absorb) {
  Config c = small("deepseek_v3");
  c.num_hidden_layers = 2;
  c.num_key_value_heads = 8;
  c.head_dim = 10;
  c.mla = {12, 16, 6, 4, 5};
  c.mla_absorb = absorb;
  c.moe.n_routed_experts = 8;
  c.moe.n_shared_experts = 2;
  c.moe.num_experts_per_tok = 2;
  c.moe.moe_intermediate_size = 9;
  c.moe.first_k_dense_replace = 1;
  c.num_nextn_predict_layers = 1;
  EXPECT_TRUE(validate(c).ok()) << validate(c).message();
  return c;
}

std::vector<int64_t> shape_of(const Config& config, const std::string& name) {
  for (const TensorSpec& spec : expected_tensors(config)) {
    if (spec.name == name) return spec.shape;
  }
  return {};
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

TEST(TensorNames, TensorsOfDeepseek) {
  const Config c = deepseek(true);
  using Shape = std::vector<int64_t>;
  const std::string attention = "model.layers.1.self_attn.";
  EXPECT_EQ(shape_of(c, attention + "q_b_proj.weight"), (Shape{80, 12}));
  EXPECT_EQ(shape_of(c, attention + "kv_a_proj_with_mqa.weight"), (Shape{20, 64}));
  EXPECT_EQ(shape_of(c, attention + "o_proj.weight"), (Shape{64, 40}));
  EXPECT_EQ(shape_of(c, attention + "k_b_proj.7.weight"), (Shape{16, 6}));
  EXPECT_EQ(shape_of(c, attention + "v_b_proj.7.weight"), (Shape{5, 16}));
  EXPECT_EQ(shape_of(c, attention + "kv_b_proj.weight"), Shape());
  EXPECT_EQ(shape_of(deepseek(false), attention + "kv_b_proj.weight"), (Shape{88, 16}));
  EXPECT_EQ(shape_of(deepseek(false), attention + "k_b_proj.7.weight"), Shape());
  EXPECT_EQ(shape_of(c, "model.layers.0.mlp.up_proj.weight"), (Shape{176, 64}));
  EXPECT_EQ(shape_of(c, "model.layers.1.mlp.experts.7.down_proj.weight"), (Shape{64, 9}));
  EXPECT_EQ(shape_of(c, "model.layers.1.mlp.shared_experts.up_proj.weight"), (Shape{18, 64}));
  EXPECT_EQ(shape_of(c, "model.layers.1.mlp.gate.e_score_correction_bias"), (Shape{8}));
  EXPECT_EQ(shape_of(c, "model.layers.2.eh_proj.weight"), (Shape{64, 128}));
  EXPECT_EQ(shape_of(c, "model.layers.2.shared_head.head.weight"), (Shape{320, 64}));
  Config shares = c;
  shares.nextn_shares_embeddings = true;
  EXPECT_EQ(shape_of(shares, "model.layers.2.embed_tokens.weight"), Shape());

  EXPECT_EQ(gguf_name("model.layers.1.mlp.experts.7.down_proj.weight"),
            "blk.1.ffn_down_exps.weight");
  EXPECT_EQ(gguf_name("model.layers.1.self_attn.v_b_proj.12.weight"), "blk.1.attn_v_b.weight");
  EXPECT_EQ(gguf_name("model.layers.1.mlp.gate.e_score_correction_bias"), "blk.1.exp_probs_b.bias");
  EXPECT_EQ(hf_name("blk.1.exp_probs_b.bias"), "model.layers.1.mlp.gate.e_score_correction_bias");
  EXPECT_EQ(hf_name("blk.2.nextn.shared_head_head.weight"),
            "model.layers.2.shared_head.head.weight");
  EXPECT_FALSE(hf_name("blk.1.ffn_down_exps.weight").has_value());
  for (const char* name :
       {"model.layers.1.mlp.experts.x.down_proj.weight",
        "model.layers.1.mlp.experts.-1.up_proj.weight",
        "model.layers.1.mlp.experts..up_proj.weight", "model.layers.1.mlp.experts.1.weight"}) {
    EXPECT_FALSE(gguf_name(name).has_value()) << name;
  }
}

// A file of one matrix per name, whose values tell where they came from: row-major counting.
class Sources : public testing::Test {
 protected:
  void add(const std::string& name, const std::vector<int64_t>& shape) {
    int64_t count = 1;
    for (int64_t n : shape) count *= n;
    std::vector<float>& values = values_.emplace_back(static_cast<size_t>(count));
    for (float& v : values) v = static_cast<float>(next_++);
    ASSERT_TRUE(
        table_.add({name, DType::kF32, "f32", shape, std::as_bytes(std::span(values))}).ok());
  }
  // The parameter as the loader gets it.
  std::vector<float> loaded(const Config& config, const std::string& name, Naming naming) {
    const TensorSpec spec{name, shape_of(config, name)};
    const auto parts = find_source(config, spec, table_, naming);
    EXPECT_TRUE(parts.ok()) << parts.status().message();
    std::vector<float> out(static_cast<size_t>(spec.shape[0] * spec.shape[1]));
    EXPECT_TRUE(assemble(*parts, spec.shape[1], out).ok());
    if (parts->size() == 1 && !(*parts)[0].transposed) {
      const StoredTensor view = view_of((*parts)[0]);
      EXPECT_EQ(view.shape, spec.shape);
      std::vector<float> same(out.size());
      EXPECT_TRUE(decode_tensor(view, same).ok());
      EXPECT_EQ(same, out);
    }
    return out;
  }

  std::deque<std::vector<float>> values_;
  int next_ = 0;
  TensorTable table_;
};

TEST_F(Sources, ExpertsAreSlicesOfAStack) {
  add("blk.1.ffn_up_exps.weight", {8, 9, 64});
  const Config c = deepseek(true);
  const auto got = loaded(c, "model.layers.1.mlp.experts.3.up_proj.weight", Naming::kGguf);
  EXPECT_EQ(got.front(), 3 * 9 * 64);
  EXPECT_EQ(got.back(), 4 * 9 * 64 - 1);
}

TEST_F(Sources, TheHalvesOfKvBAreMadeFromOneAnother) {
  // Heads of 6 + 5 rows of 16.
  add("model.layers.0.self_attn.kv_b_proj.weight", {88, 16});
  const std::vector<float> whole = values_[0];
  const Config absorbed = deepseek(true), expanded = deepseek(false);
  const std::string prefix = "model.layers.0.self_attn.";
  // The same layer as GGUF files have it: apart.
  std::vector<float> keys, values;
  for (int h = 0; h < 8; ++h) {
    const std::string number = std::to_string(h) + ".weight";
    const auto k = loaded(absorbed, prefix + "k_b_proj." + number, Naming::kHuggingFace);
    const auto v = loaded(absorbed, prefix + "v_b_proj." + number, Naming::kHuggingFace);
    for (size_t r = 0; r < 16; ++r) {
      for (size_t c = 0; c < 6; ++c) {
        ASSERT_EQ(k[r * 6 + c], whole[(static_cast<size_t>(h) * 11 + c) * 16 + r]);
      }
    }
    ASSERT_EQ(v.front(), whole[(static_cast<size_t>(h) * 11 + 6) * 16]);
    keys.insert(keys.end(), k.begin(), k.end());
    values.insert(values.end(), v.begin(), v.end());
  }
  TensorTable apart;
  ASSERT_TRUE(apart
                  .add({"blk.0.attn_k_b.weight",
                        DType::kF32,
                        "f32",
                        {8, 16, 6},
                        std::as_bytes(std::span(keys))})
                  .ok());
  ASSERT_TRUE(apart
                  .add({"blk.0.attn_v_b.weight",
                        DType::kF32,
                        "f32",
                        {8, 5, 16},
                        std::as_bytes(std::span(values))})
                  .ok());
  table_ = apart;
  EXPECT_EQ(loaded(expanded, prefix + "kv_b_proj.weight", Naming::kGguf), whole);
  const auto k7 = loaded(absorbed, prefix + "k_b_proj.7.weight", Naming::kGguf);
  EXPECT_TRUE(std::equal(k7.begin(), k7.end(), keys.begin() + 7 * 16 * 6));
  const auto v7 = loaded(absorbed, prefix + "v_b_proj.7.weight", Naming::kGguf);
  EXPECT_TRUE(std::equal(v7.begin(), v7.end(), values.begin() + 7 * 5 * 16));
}

TEST_F(Sources, AStackOfAnotherShapeIsNamed) {
  add("blk.1.ffn_up_exps.weight", {7, 9, 64});
  add("blk.0.attn_kv_b.weight", {87, 16});
  const Config c = deepseek(true);
  const auto error = [&](const std::string& name) {
    return find_source(c, {name, shape_of(c, name)}, table_, Naming::kGguf).status().message();
  };
  EXPECT_NE(error("model.layers.1.mlp.experts.3.up_proj.weight")
                .find("blk.1.ffn_up_exps.weight\" has shape (7, 9, 64), expected (8, 9, 64)"),
            std::string::npos);
  EXPECT_NE(error("model.layers.0.self_attn.k_b_proj.3.weight")
                .find("blk.0.attn_kv_b.weight\" has shape (87, 16), expected (88, 16)"),
            std::string::npos);
  EXPECT_NE(error("model.layers.1.self_attn.v_b_proj.3.weight")
                .find("blk.1.attn_v_b.weight\" is missing"),
            std::string::npos);
}

TEST(TensorNames, LayersThatTheFileLeftOut) {
  const Config all = deepseek(false);
  EXPECT_EQ(without_absent_layers(all, table_of(all), Naming::kHuggingFace), all);
  Config none = all;
  none.num_nextn_predict_layers = 0;
  EXPECT_EQ(without_absent_layers(all, table_of(none), Naming::kHuggingFace), none);
  Config shares = all;
  shares.nextn_shares_embeddings = true;
  EXPECT_EQ(without_absent_layers(all, table_of(shares), Naming::kHuggingFace), shares);
  EXPECT_TRUE(check_tensors(shares, table_of(shares), Naming::kHuggingFace).ok());
  EXPECT_FALSE(check_tensors(none, table_of(all), Naming::kHuggingFace).ok());
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
  std::vector<int16_t> hf(24), gguf(24);  // rows of two values
  for (size_t i = 0; i < hf.size(); ++i) hf[i] = static_cast<int16_t>(i);
  rows_hf_to_gguf(hf.data(), gguf.data(), 12, 4, 6);
  std::vector<int> order;
  for (size_t row = 0; row < 12; ++row) {
    EXPECT_EQ(gguf[2 * row + 1], gguf[2 * row] + 1);
    order.push_back(gguf[2 * row] / 2);
  }
  EXPECT_EQ(order, (std::vector<int>{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}));
  for (size_t row = 0; row < 12; ++row) {  // the rows come back
    EXPECT_EQ(order[static_cast<size_t>(gguf_row_of(static_cast<int64_t>(row), 6))],
              static_cast<int>(row));
  }
  EXPECT_TRUE(has_paired_rows_in_gguf(small("llama"), "model.layers.0.self_attn.k_proj.bias"));
  EXPECT_FALSE(has_paired_rows_in_gguf(small("llama"), "model.layers.0.self_attn.v_proj.weight"));
  EXPECT_FALSE(has_paired_rows_in_gguf(small("qwen2"), "model.layers.0.self_attn.q_proj.weight"));
}

}  // namespace
}  // namespace ponder
