#include "model/mix.h"

#include <gtest/gtest.h>

#include <set>

#include "quant/format.h"

namespace ponder {
namespace {

TEST(Mix, NamesAndNumbersAreDistinct) {
  std::set<std::string> names;
  std::set<uint32_t> numbers;
  for (const Mix& mix : mixes()) {
    EXPECT_TRUE(names.insert(mix.name).second);
    EXPECT_TRUE(numbers.insert(mix.file_type()).second);
    EXPECT_EQ(find_mix(mix.name), &mix);
  }
  EXPECT_EQ(find_mix("q4_k_m"), find_mix("Q4_K"));
  EXPECT_EQ(find_mix("Q4_K_L"), nullptr);
  EXPECT_EQ(find_mix("Q4_K_M")->file_type(), 15u);
}

Config dense(const char* architecture, int64_t layers, int64_t heads, int64_t kv_heads) {
  Config config = Config::of(architecture);
  config.num_hidden_layers = layers;
  config.num_attention_heads = heads;
  config.num_key_value_heads = kv_heads;
  return config;
}

std::vector<MixTensor> tensors_of(int64_t layers) {
  std::vector<MixTensor> out = {{"token_embd.weight", {512, 256}, DType::kF16},
                                {"output.weight", {512, 256}, DType::kF16},
                                {"output_norm.weight", {256}, DType::kF32}};
  for (int64_t i = 0; i < layers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    for (const char* name :
         {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
      out.push_back({layer + name + ".weight", {256, 256}, DType::kF16});
    }
  }
  return out;
}

DType type_of(const std::vector<MixTensor>& tensors, const std::vector<DType>& types,
              const std::string& name) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == name) return types[i];
  }
  return DType::kBool;
}

TEST(Mix, MoreBitsAtTheEndsAndEveryThirdLayer) {
  const auto tensors = tensors_of(28);
  const auto types = choose_types(*find_mix("Q4_K_M"), dense("qwen2", 28, 12, 2), tensors, {});
  // n / 8 = 3: layers 0 to 2, 24 to 27, and 5, 8, ..., 23.
  for (int i = 0; i < 28; ++i) {
    const bool more = i < 3 || i >= 24 || (i - 3) % 3 == 2;
    const std::string layer = "blk." + std::to_string(i) + ".";
    EXPECT_EQ(type_of(tensors, types, layer + "attn_v.weight") == DType::kQ6_K, more) << i;
    EXPECT_EQ(type_of(tensors, types, layer + "ffn_down.weight") == DType::kQ6_K, more) << i;
    EXPECT_EQ(type_of(tensors, types, layer + "attn_q.weight"), DType::kQ4_K);
  }
  EXPECT_EQ(type_of(tensors, types, "output.weight"), DType::kQ6_K);
  EXPECT_EQ(type_of(tensors, types, "output_norm.weight"), DType::kF32);
}

TEST(Mix, GroupedQueriesAndTheSeventyBillionModel) {
  const auto tensors = tensors_of(80);
  const Mix& mix = *find_mix("Q2_K");
  const auto grouped = choose_types(mix, dense("llama", 80, 64, 8), tensors, {});
  EXPECT_EQ(type_of(tensors, grouped, "blk.40.attn_v.weight"), DType::kQ5_K);
  const auto alone = choose_types(mix, dense("llama", 80, 64, 64), tensors, {});
  EXPECT_EQ(type_of(tensors, alone, "blk.40.attn_v.weight"), DType::kQ3_K);
  const auto smaller = choose_types(mix, dense("llama", 32, 32, 8), tensors_of(32), {});
  EXPECT_EQ(type_of(tensors_of(32), smaller, "blk.20.attn_v.weight"), DType::kQ4_K);
}

TEST(Mix, OptionsComeFirst) {
  const auto tensors = tensors_of(2);
  const Config config = dense("llama", 2, 4, 4);
  const auto pure = choose_types(*find_mix("Q4_K_M"), config, tensors, {.pure = true});
  EXPECT_EQ(type_of(tensors, pure, "output.weight"), DType::kQ4_K);
  const auto given =
      choose_types(*find_mix("Q4_K_M"), config, tensors,
                   {.output_type = DType::kF16, .token_embedding_type = DType::kQ8_0});
  EXPECT_EQ(type_of(tensors, given, "output.weight"), DType::kF16);
  EXPECT_EQ(type_of(tensors, given, "token_embd.weight"), DType::kQ8_0);
  const auto importance = choose_types(*find_mix("Q4_0"), dense("llama", 16, 4, 4), tensors_of(16),
                                       {.has_importance = true});
  EXPECT_EQ(type_of(tensors_of(16), importance, "blk.1.ffn_down.weight"), DType::kQ4_1);
  EXPECT_EQ(type_of(tensors_of(16), importance, "blk.2.ffn_down.weight"), DType::kQ4_0);
}

TEST(Mix, RowsThatDoNotFitGetAnotherType) {
  std::vector<MixTensor> tensors = {{"token_embd.weight", {8, 96}, DType::kF32},
                                    {"output.weight", {8, 96}, DType::kF32},
                                    {"blk.0.attn_q.weight", {8, 96}, DType::kF32},
                                    {"blk.0.attn_k.weight", {8, 40}, DType::kF32}};
  const Config config = dense("llama", 1, 4, 4);
  const std::pair<const char*, DType> expected[] = {
      {"Q4_K_M", DType::kQ5_0}, {"Q5_K_S", DType::kQ5_1},   {"Q6_K", DType::kQ8_0},
      {"Q2_K", DType::kQ4_0},   {"IQ4_XS", DType::kIQ4_NL}, {"Q8_0", DType::kQ8_0}};
  for (const auto& [name, type] : expected) {
    const auto types = choose_types(*find_mix(name), config, tensors, {});
    EXPECT_EQ(types[1], DType::kQ8_0) << name;
    EXPECT_EQ(types[2], type) << name;
    EXPECT_EQ(types[3], DType::kF16) << name;
  }
}

TEST(Mix, WhatNeedsAMatrix) {
  const Mix& mix = *find_mix("IQ2_XXS");
  EXPECT_TRUE(needs_importance(mix, "blk.0.attn_q.weight", DType::kIQ2_XXS));
  EXPECT_FALSE(needs_importance(mix, "token_embd.weight", DType::kIQ2_XXS));
  EXPECT_FALSE(needs_importance(mix, "blk.0.attn_v.weight", DType::kQ2_K));
  EXPECT_TRUE(needs_importance(*find_mix("Q2_K_S"), "blk.0.attn_v.weight", DType::kQ2_K));
}

}  // namespace
}  // namespace ponder
