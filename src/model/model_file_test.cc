#include "model/model_file.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "core/test_folder.h"
#include "io/safetensors.h"
#include "model/model.h"
#include "ops/panels.h"
#include "quant/f8.h"

namespace ponder {
namespace {

// Latent attention in whose kv_b_proj heads have whole FP8 blocks if `nope` is 128.
Config latent(int64_t nope) {
  Config c = Config::of("deepseek_v3");
  c.vocab_size = 32;
  c.hidden_size = 64;
  c.intermediate_size = 160;
  c.num_hidden_layers = 2;
  c.num_attention_heads = c.num_key_value_heads = 2;
  c.max_position_embeddings = 64;
  c.mla = {.q_lora_rank = 0,
           .kv_lora_rank = 144,
           .qk_nope_head_dim = nope,
           .qk_rope_head_dim = 16,
           .v_head_dim = 128};
  c.head_dim = nope + 16;
  c.moe.n_routed_experts = 4;
  c.moe.n_shared_experts = 1;
  c.moe.num_experts_per_tok = 2;
  c.moe.moe_intermediate_size = 48;
  c.moe.first_k_dense_replace = 1;
  return c;
}

bool is_fp8(const std::string& name) {
  return name.ends_with("_proj.weight") || name.find("kv_a_proj") != name.npos;
}

// A model with all projections in FP8. `spoil` may change the codes of a tensor.
template <typename Spoil>
void write_fp8(const TestFolder& folder, const Config& config, Spoil spoil) {
  const auto made = Model::create(config, 4);
  ASSERT_TRUE(made.ok()) << made.status().message();
  ASSERT_TRUE(made->save(folder / "model").ok());
  const auto plain = SafetensorsFile::open(folder / "model");
  ASSERT_TRUE(plain.ok());
  std::vector<StoredTensor> tensors;
  std::deque<std::vector<uint8_t>> codes;
  std::deque<std::vector<float>> scales;
  for (StoredTensor tensor : plain->tensors().all()) {
    if (is_fp8(tensor.name)) {
      std::vector<float> values(static_cast<size_t>(tensor.elements()));
      ASSERT_TRUE(decode_tensor(tensor, values).ok());
      auto& to = codes.emplace_back();
      for (const float v : values) to.push_back(f32_to_f8_e4m3(v * 100.0f));
      spoil(tensor.name, to);
      const int64_t rows = (tensor.shape[0] + 127) / 128, cols = (tensor.shape[1] + 127) / 128;
      auto& scale = scales.emplace_back();
      for (int64_t i = 0; i < rows * cols; ++i)
        scale.push_back(0.01f + 0.001f * static_cast<float>(i));
      tensors.push_back({tensor.name + "_scale_inv",
                         DType::kF32,
                         "f32",
                         {rows, cols},
                         std::as_bytes(std::span(scale))});
      tensor.dtype = DType::kF8_E4M3;
      tensor.bytes = std::as_bytes(std::span(to));
    }
    tensors.push_back(tensor);
  }
  ASSERT_TRUE(make_directories(folder / "fp8").ok());
  ASSERT_TRUE(write_safetensors(folder / "fp8/model.safetensors", tensors).ok());
  plant(folder / "fp8/config.json", config_to_json(config, DType::kBF16));
  plant(folder / "fp8/quantize_config.json",
        R"({"quant_method": "fp8", "weight_block_size": [128, 128]})");
}

// Heads of kv_b_proj, upright and transposed, experts and all else are what they are in the file, kept
// as codes wherever blocks are whole.
TEST(Fp8Folder, KeepsItsCodes) {
  for (const int64_t nope : {128, 48}) {
    const TestFolder folder;
    const Config config = latent(nope);
    write_fp8(folder, config, [](const std::string&, std::vector<uint8_t>&) {});
    if (HasFatalFailure()) return;
    const auto model = Model::load(folder / "fp8", Model::Use::kInference);
    ASSERT_TRUE(model.ok()) << model.status().message();
    const auto exact = Model::load(folder / "fp8", Model::Use::kTraining);
    ASSERT_TRUE(exact.ok()) << exact.status().message();
    std::map<std::string, std::vector<float>> values;
    for (const Parameter& p : exact->parameters()) {
      values[p.name] = exact->parameter_values(p.weight);
    }
    const int64_t rank = config.mla.kv_lora_rank, v = config.mla.v_head_dim;
    for (const Parameter& p : model->parameters()) {
      if (p.weight.layout == Layout::kPlain) continue;
      const std::vector<float> got = model->parameter_values(p.weight);
      const bool keys = p.name.find("k_b_proj.") != p.name.npos;
      const bool heads = keys || p.name.find("v_b_proj.") != p.name.npos;
      if (!heads) {
        EXPECT_EQ(is_coded(p.weight), is_fp8(p.name)) << p.name;
        EXPECT_EQ(got, values.at(p.name)) << p.name;
        continue;
      }
      const size_t dot = p.name.find("_b_proj.");
      const std::vector<float>& both = values.at(p.name.substr(0, dot - 1) + "kv_b_proj.weight");
      const int64_t head = p.name[dot + 8] - '0', first = head * (nope + v) + (keys ? 0 : nope);
      EXPECT_EQ(is_coded(p.weight), first % 128 == 0) << p.name;
      for (int64_t r = 0; r < p.weight.rows; ++r) {
        for (int64_t c = 0; c < p.weight.cols; ++c) {
          const int64_t at = keys ? (first + c) * rank + r : (first + r) * rank + c;
          ASSERT_EQ(got[static_cast<size_t>(r * p.weight.cols + c)], both[static_cast<size_t>(at)])
              << p.name << " " << r << " " << c;
        }
      }
    }
  }
}

TEST(Fp8Folder, NamesATensorWithNaN) {
  const TestFolder folder;
  const std::string name = "model.layers.1.mlp.experts.3.up_proj.weight";
  write_fp8(folder, latent(128), [&](const std::string& tensor, std::vector<uint8_t>& codes) {
    if (tensor == name) codes[100] = 0xff;
  });
  if (HasFatalFailure()) return;
  const auto model = Model::load(folder / "fp8", Model::Use::kInference);
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.status().message().find(name + ": holds NaN"), std::string::npos)
      << model.status().message();
}

}  // namespace
}  // namespace ponder
