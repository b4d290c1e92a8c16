#include "model/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "core/test_folder.h"
#include "io/safetensors.h"
#include "model/registry.h"
#include "model/tensor_names.h"
#include "quant/format.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

// Sizes that are no multiple of a panel's 16 rows, so that padding is there to go wrong.
Config config_of(const std::string& architecture, bool tied = false) {
  Config c = Config::of(architecture);
  c.vocab_size = 50;
  c.hidden_size = 24;
  c.intermediate_size = 36;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 6;
  c.max_position_embeddings = 64;
  c.tie_word_embeddings = tied;
  c.bos_id = 1;
  c.eos_ids = {2};
  return c;
}

// Latent attention, experts, a layer for the token after next.
Config deepseek(bool v3 = true) {
  Config c = config_of(v3 ? "deepseek_v3" : "deepseek_v2");
  c.num_key_value_heads = 4;
  c.head_dim = 10;
  c.mla = {v3 ? 20 : 0, 18, 6, 4, 5};
  c.moe.n_routed_experts = 6;
  c.moe.n_shared_experts = 1;
  c.moe.num_experts_per_tok = 2;
  c.moe.moe_intermediate_size = 20;
  c.moe.first_k_dense_replace = 1;
  if (v3) {
    c.moe.n_group = 3;
    c.moe.topk_group = 2;
    c.num_nextn_predict_layers = 1;
  }
  EXPECT_TRUE(validate(c).ok()) << validate(c).message();
  return c;
}

Model model_of(const std::string& architecture, uint64_t seed = 5, bool tied = false) {
  return std::move(Model::create(config_of(architecture, tied), seed)).value();
}

const Parameter& find(const Model& model, const std::string& name) {
  for (const Parameter& p : model.parameters()) {
    if (p.name == name) return p;
  }
  ADD_FAILURE() << name;
  return model.parameters()[0];
}

std::vector<float> values(const Model& model, const std::string& name) {
  return model.parameter_values(find(model, name).weight);
}

double deviation(const std::vector<float>& x) {
  double sum = 0;
  for (float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum / static_cast<double>(x.size()));
}

// Logits of a short text.
std::vector<float> logits(const Model& model) {
  const std::vector<int32_t> ids = {3, 49, 0, 17, 17}, positions = {0, 1, 2, 3, 4};
  Segment segment;
  segment.rows = 5;
  ThreadPool pool(2);
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  const Tensor out = model.logits(cx, model.forward(cx, {ids, positions, {&segment, 1}}));
  return {out.data, out.data + out.size()};
}

TEST(Registry, KnowsWhatConfigKnows) {
  for (const char* name :
       {"llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v3", "gpt2", "", "Llama"}) {
    EXPECT_EQ(find_architecture(name) != nullptr, Config::is_architecture(name)) << name;
  }
}

TEST(Create, IsAPureFunctionOfConfigSeedAndInit) {
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    const Model model = model_of(architecture);
    EXPECT_EQ(model.weights_hash(), model_of(architecture).weights_hash());
    EXPECT_NE(model.weights_hash(), model_of(architecture, 6).weights_hash());
  }
  // A tensor's values depend on nothing but seed, name and shape.
  Config deeper = config_of("llama");
  deeper.num_hidden_layers = 3;
  const Model deep = std::move(Model::create(deeper, 5)).value();
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  EXPECT_EQ(values(deep, name), values(model_of("llama"), name));
  EXPECT_NE(values(deep, name), values(deep, "model.layers.2.mlp.up_proj.weight"));
}

TEST(Create, DrawsEachKindOfTensorAsItsContractSays) {
  Config c = config_of("qwen2");
  c.hidden_size = 96;
  c.intermediate_size = 200;
  const Model model = std::move(Model::create(c, 5)).value();
  const double residual = 1 / std::sqrt(2.0 * 2);
  EXPECT_NEAR(deviation(values(model, "model.embed_tokens.weight")), 0.02, 0.001);
  EXPECT_NEAR(deviation(values(model, "lm_head.weight")), 1 / std::sqrt(96.0), 0.005);
  const std::string layer = "model.layers.0.";
  EXPECT_NEAR(deviation(values(model, layer + "mlp.up_proj.weight")), 1 / std::sqrt(96.0), 0.003);
  EXPECT_NEAR(deviation(values(model, layer + "mlp.down_proj.weight")), residual / std::sqrt(200.0),
              0.001);
  EXPECT_NEAR(deviation(values(model, layer + "self_attn.o_proj.weight")),
              residual / std::sqrt(24.0), 0.005);
  EXPECT_EQ(values(model, layer + "self_attn.q_proj.bias"), std::vector<float>(24, 0.0f));
  EXPECT_EQ(values(model, "model.norm.weight"), std::vector<float>(96, 1.0f));

  const Model normal = std::move(Model::create(c, 5, {false, 0.3})).value();
  for (const char* name :
       {"model.embed_tokens.weight", "lm_head.weight", "model.layers.1.mlp.down_proj.weight",
        "model.layers.0.mlp.up_proj.weight"}) {
    EXPECT_NEAR(deviation(values(normal, name)), 0.3, 0.01) << name;
  }
  EXPECT_EQ(values(normal, "model.norm.weight"), std::vector<float>(96, 1.0f));
}

TEST(Create, DeepseekIsExpandedUnlessAskedForTheOther) {
  const Model model = std::move(Model::create(deepseek(), 5)).value();
  EXPECT_EQ(model.config().mla_absorb, false);
  const std::string layer = "model.layers.1.";
  EXPECT_NEAR(deviation(values(model, layer + "self_attn.kv_b_proj.weight")), 1 / std::sqrt(18.0),
              0.03);
  EXPECT_EQ(values(model, layer + "mlp.gate.e_score_correction_bias"), std::vector<float>(6, 0.0f));
  EXPECT_EQ(values(model, "model.layers.2.hnorm.weight"), std::vector<float>(24, 1.0f));
  Config absorb = deepseek();
  absorb.mla_absorb = true;
  const Model absorbed = std::move(Model::create(absorb, 5)).value();
  EXPECT_TRUE(absorbed.config().absorbs());
  EXPECT_EQ(values(absorbed, layer + "self_attn.v_b_proj.3.weight").size(), 5u * 18u);
}

TEST(Create, ImpossibleSizesAreErrors) {
  Config c = config_of("llama");
  c.num_key_value_heads = 3;
  EXPECT_FALSE(Model::create(c, 1).ok());
  c = config_of("llama");
  c.vocab_size = 1 << 24;
  c.hidden_size = 1 << 20;  // 128 TB, within the format's limits
  const auto huge = Model::create(c, 1);
  ASSERT_FALSE(huge.ok());
  EXPECT_EQ(huge.status().code(), Code::kExhausted);
  EXPECT_NE(huge.status().message().find("no memory for weights"), std::string::npos);
}

TEST(Weights, ListsEveryTensorOnceInNameOrder) {
  for (bool tied : {false, true}) {
    const Model model = model_of("qwen3", 5, tied);
    std::map<std::string, std::vector<int64_t>> expected;
    for (const TensorSpec& spec : expected_tensors(model.config()))
      expected[spec.name] = spec.shape;
    ASSERT_EQ(model.parameters().size(), expected.size());
    int64_t count = 0;
    auto it = expected.begin();  // a map is in name order
    for (const Parameter& p : model.parameters()) {
      EXPECT_EQ(p.name, it->first);
      EXPECT_EQ(p.weight.rows * p.weight.cols,
                it->second[0] * (it->second.size() == 2 ? it->second[1] : 1));
      count += p.weight.rows * p.weight.cols;
      ++it;
    }
    EXPECT_EQ(model.parameter_count(), count);
    EXPECT_EQ(model.head().data,
              find(model, tied ? "model.embed_tokens.weight" : "lm_head.weight").weight.data);
  }
}

TEST(Weights, TheFlatViewIsTheWeightsAndCopies) {
  Model a = model_of("llama", 1), b = model_of("llama", 2);
  EXPECT_NE(a.weights_hash(), b.weights_hash());
  b.copy_weights(a);
  EXPECT_EQ(a.weights_hash(), b.weights_hash());
  EXPECT_EQ(logits(a), logits(b));
  // What the optimizer writes is what the model reads.
  for (float& x : a.flat_weights()) x = 0;
  EXPECT_EQ(logits(a), std::vector<float>(5 * 50, 0.0f));
  EXPECT_NE(logits(b), logits(a));
  const Model moved = std::move(b);
  EXPECT_NE(logits(moved), logits(a));
}

// What no gradient reaches lies behind what the optimizer moves.
TEST(Weights, CorrectionBiasesAreNotOptimized) {
  Model model = std::move(Model::create(deepseek(), 5)).value();
  const int64_t all = static_cast<int64_t>(model.flat_weights().size());
  EXPECT_EQ(model.optimized_size(), all - 2 * 16);  // two layers with experts, padded to 64 bytes
  for (const Parameter& p : model.parameters()) {
    const bool bias = p.name.ends_with("e_score_correction_bias");
    EXPECT_EQ(p.weight.f32() - model.flat_weights().data() >= model.optimized_size(), bias)
        << p.name;
  }
  Model dense = model_of("llama");
  EXPECT_EQ(dense.optimized_size(), static_cast<int64_t>(dense.flat_weights().size()));
}

// Tokens of two sequences through a model with a tape, with and without the balance loss.
struct ExpertStep {
  explicit ExpertStep(double alpha) : model(std::move(Model::create(deepseek(), 5)).value()) {
    model.attach_gradients();
    use.balance_alpha = alpha;
    const std::vector<int32_t> ids = {3, 49, 0, 17, 17, 8, 22, 4},
                               positions = {0, 1, 2, 3, 4, 0, 1, 2};
    Segment first, second;
    first.rows = second.row = 5;
    second.rows = 3;
    const Segment segments[] = {first, second};
    ThreadPool pool(2);
    Arena arena, scratch;
    Tape tape;
    Ctx cx{pool, arena, scratch, &tape};
    Batch batch{ids, positions, segments};
    batch.experts = &use;
    const Tensor out = model.forward(cx, batch);
    const Tape::Sink d = tape.sink(out);
    for (int64_t i = 0; i < out.size(); ++i) d.data[i] = 1e-3f * static_cast<float>(i % 7);
    tape.backward(cx);
    for (const Parameter& p : model.parameters()) {
      if (p.name == "model.layers.1.mlp.gate.weight") router = model.gradient_values(p.weight);
    }
  }
  Model model;
  ExpertUse use;
  std::vector<float> router;
};

TEST(Experts, ForwardCountsThemAndAddsTheBalanceLoss) {
  const ExpertStep plain(0), balanced(0.5);
  ASSERT_EQ(plain.use.counts.size(), 3u);
  EXPECT_TRUE(plain.use.counts[0].empty());  // a dense layer
  int64_t total = 0;
  for (int64_t count : plain.use.counts[1]) total += count;
  EXPECT_EQ(total, 8 * 2);
  EXPECT_EQ(plain.use.counts, balanced.use.counts);
  EXPECT_EQ(plain.use.balance_loss, 0);
  // alpha for two even sequences, each about 1.
  EXPECT_GT(balanced.use.balance_loss, 0.5);
  EXPECT_LT(balanced.use.balance_loss, 2.0);
  EXPECT_NE(plain.router, balanced.router);
}

struct Loading : testing::Test {
  // The tensors of `model` as `dtype` matrices (vectors stay float32), changed by `edit`.
  void write(const Model& model, DType dtype,
             const std::function<void(StoredTensor&, std::vector<std::byte>&)>& edit = {}) {
    std::vector<std::vector<std::byte>> bytes(model.parameters().size());
    std::vector<StoredTensor> tensors;
    size_t i = 0;
    for (const Parameter& p : model.parameters()) {
      const bool matrix = p.weight.layout == Layout::kPanels;
      const std::vector<float> x = model.parameter_values(p.weight);
      StoredTensor t;
      t.name = p.name;
      t.dtype = matrix ? dtype : DType::kF32;
      t.shape = matrix ? std::vector<int64_t>{p.weight.rows, p.weight.cols}
                       : std::vector<int64_t>{p.weight.cols};
      const auto n = static_cast<int64_t>(x.size());
      bytes[i].resize(*bytes_for(*t.dtype, n));
      format_of(*t.dtype).encode(x.data(), nullptr, bytes[i].data(), n);
      if (edit) edit(t, bytes[i]);
      t.bytes = bytes[i++];
      if (!t.name.empty()) tensors.push_back(std::move(t));
    }
    fs::create_directories(path);
    ASSERT_TRUE(write_safetensors(path + "/model.safetensors", tensors).ok());
    plant(path + "/config.json", config_to_json(model.config(), dtype));
  }
  void expect_refused(const std::string& part, const std::string& other = "") {
    for (Model::Use use : {Model::Use::kInference, Model::Use::kTraining}) {
      const auto got = Model::load(path, use);
      ASSERT_FALSE(got.ok()) << part;
      const std::string& message = got.status().message();
      EXPECT_TRUE(message.starts_with(path)) << message;
      EXPECT_NE(message.find(part), std::string::npos) << message;
      EXPECT_NE(message.find(other), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    }
  }
  TestFolder folder;
  std::string path = folder / "model";
};

TEST_F(Loading, WhatWasSavedComesBackToTheBit) {
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    for (bool tied : {false, true}) {
      const Model model = model_of(architecture, 5, tied);
      ASSERT_TRUE(model.save(path).ok());
      for (Model::Use use : {Model::Use::kInference, Model::Use::kTraining}) {
        const auto back = Model::load(path, use);
        ASSERT_TRUE(back.ok()) << back.status().message();
        EXPECT_TRUE(back->config() == model.config());
        EXPECT_EQ(back->weights_hash(), model.weights_hash());
        EXPECT_EQ(logits(*back), logits(model));
      }
    }
  }
  EXPECT_TRUE(files_ending(folder.path(), ".tmp").empty());
}

TEST_F(Loading, DeepseekIsSavedInEitherFormAsOneFile) {
  for (const bool v3 : {true, false}) {
    const Model model = std::move(Model::create(deepseek(v3), 5)).value();
    write(model, DType::kBF16);
    // What a folder does not say: for training expanded, for inference absorbed.
    Config stated = model.config();
    stated.mla_absorb.reset();
    plant(path + "/config.json", config_to_json(stated, DType::kBF16));
    const auto wide = Model::load(path, Model::Use::kTraining);
    ASSERT_TRUE(wide.ok()) << wide.status().message();
    EXPECT_FALSE(wide->config().absorbs());
    const auto absorbed = Model::load(path, Model::Use::kInference);
    ASSERT_TRUE(absorbed.ok()) << absorbed.status().message();
    EXPECT_TRUE(absorbed->config().absorbs());
    // Saved from either, it is the same model, and says in which form it was.
    ASSERT_TRUE(absorbed->save(folder / "again").ok());
    const auto file = SafetensorsFile::open(folder / "again");
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_EQ(file->tensors().find("model.layers.0.self_attn.kv_b_proj.weight")->dtype,
              DType::kBF16);
    const auto again = Model::load(folder / "again", Model::Use::kTraining);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(again->weights_hash(), wide->weights_hash());
    EXPECT_TRUE(load_config(folder / "again")->absorbs());
    ASSERT_TRUE(wide->save(folder / "expanded").ok());
    const auto kept = Model::load(folder / "expanded", Model::Use::kInference);
    ASSERT_TRUE(kept.ok()) << kept.status().message();
    EXPECT_FALSE(kept->config().absorbs());
    EXPECT_EQ(logits(*kept), logits(*wide));
    // One computation in two orders.
    const std::vector<float> a = logits(*absorbed), b = logits(*wide);
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5) << i;
  }
}

TEST_F(Loading, HalfPrecisionStaysAsItIsAndIsFloatForTraining) {
  const Model model = model_of("qwen2");
  const std::string name = "model.layers.1.self_attn.q_proj.weight";
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    write(model, dtype);
    std::vector<float> rounded = values(model, name);
    for (float& x : rounded) {
      x = dtype == DType::kF16 ? f16_to_f32(f32_to_f16(x)) : bf16_to_f32(f32_to_bf16(x));
    }
    auto kept = Model::load(path, Model::Use::kInference);
    ASSERT_TRUE(kept.ok()) << kept.status().message();
    auto wide = Model::load(path, Model::Use::kTraining);
    ASSERT_TRUE(wide.ok());
    for (const Parameter& p : kept->parameters()) {
      EXPECT_EQ(p.weight.dtype, p.weight.layout != Layout::kPlain ? dtype : DType::kF32);
    }
    for (const Parameter& p : wide->parameters()) EXPECT_EQ(p.weight.dtype, DType::kF32);
    EXPECT_EQ(values(*kept, name), rounded);
    EXPECT_EQ(values(*wide, name), rounded);
    EXPECT_EQ(wide->flat_weights().size_bytes(), static_cast<size_t>(wide->weight_bytes()));
    EXPECT_LT(kept->weight_bytes(), wide->weight_bytes());
    // Saved again it is the same file in the same type.
    ASSERT_TRUE(kept->save(folder / "again").ok());
    const auto again = Model::load(folder / "again", Model::Use::kInference);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(again->weights_hash(), kept->weights_hash());
    EXPECT_EQ(slurp(folder / "again/model.safetensors"), slurp(path + "/model.safetensors"));
  }
}

TEST_F(Loading, ATensorThatIsMissingOrMisshapenIsNamed) {
  const Model model = model_of("llama");
  const std::string name = "model.layers.1.mlp.gate_proj.weight";
  write(model, DType::kF32, [&](StoredTensor& t, std::vector<std::byte>&) {
    if (t.name == name) t.name.clear();
  });
  expect_refused(name, "missing");
  write(model, DType::kF32, [&](StoredTensor& t, std::vector<std::byte>&) {
    if (t.name == name) std::swap(t.shape[0], t.shape[1]);
  });
  expect_refused(name, "(24, 36)");
  write(model, DType::kF32, [&](StoredTensor& t, std::vector<std::byte>&) {
    if (t.name == name) t.name = "model.layers.1.mlp.extra.weight";
  });
  expect_refused(name, "missing");
}

TEST_F(Loading, AConfigThatDoesNotFitIsNamed) {
  const Model model = model_of("llama");
  write(model, DType::kF32);
  Config larger = model.config();
  larger.vocab_size = 51;
  plant(path + "/config.json", config_to_json(larger, DType::kF32));
  expect_refused("model.embed_tokens.weight", "(51, 24)");
  larger = model.config();
  larger.num_hidden_layers = 3;
  plant(path + "/config.json", config_to_json(larger, DType::kF32));
  expect_refused("model.layers.2.", "missing");
  larger.num_hidden_layers = 1;
  plant(path + "/config.json", config_to_json(larger, DType::kF32));
  expect_refused("model.layers.1.", "no place");
  plant(path + "/config.json", "{\"model_type\": \"llama\"");
  expect_refused("config.json");
  fs::remove(path + "/config.json");
  expect_refused("config.json");
}

TEST_F(Loading, ATruncatedFileIsRefusedAtEveryLength) {
  const Model model = model_of("llama");
  write(model, DType::kF16);
  const std::string file = path + "/model.safetensors", whole = slurp(file);
  for (size_t length = 0; length < whole.size(); length += 1 + whole.size() / 60) {
    plant(file, whole.substr(0, length));
    const auto got = Model::load(path, Model::Use::kInference);
    ASSERT_FALSE(got.ok()) << length;
    EXPECT_TRUE(got.status().message().starts_with(file)) << got.status().message();
  }
  fs::remove(file);
  expect_refused("model.safetensors");
}

TEST_F(Loading, WhatIsNoModelIsRefused) {
  expect_refused("");  // nothing there
  plant(path, "GGUF");
  expect_refused("");
  plant(path, std::string(100, 'x'));
  expect_refused("");
}

TEST_F(Loading, ATiedHeadThatIsStoredAllTheSameIsNotRead) {
  const Model model = model_of("llama");  // its file has a head of its own
  write(model, DType::kF32);
  Config tied = model.config();
  tied.tie_word_embeddings = true;
  plant(path + "/config.json", config_to_json(tied, DType::kF32));
  const auto got = Model::load(path, Model::Use::kInference);
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ(got->head().data, find(*got, "model.embed_tokens.weight").weight.data);
}

TEST_F(Loading, SavingWhereAFileStandsIsAnError) {
  const Model model = model_of("llama");
  plant(path, "a file where the folder should be");
  const Status status = model.save(path);
  ASSERT_FALSE(status.ok());
  EXPECT_TRUE(status.message().starts_with(path)) << status.message();
}

}  // namespace
}  // namespace ponder
