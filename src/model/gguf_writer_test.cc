#include "model/gguf_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "core/test_folder.h"
#include "quant/format.h"

namespace ponder {
namespace {

// Two heads of 16, so that llama's row order matters.
Config small(const std::string& architecture) {
  Config c = Config::of(architecture);
  c.vocab_size = 48;
  c.hidden_size = 32;
  c.intermediate_size = 64;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 2;
  c.num_key_value_heads = 1;
  c.head_dim = 16;
  c.max_position_embeddings = 256;
  c.tie_word_embeddings = architecture == "qwen3";
  c.bos_id = 1;
  c.eos_ids = {2};
  return c;
}

// V3 with a layer for the token after next. Values of 12, no whole panel.
Config deepseek() {
  Config c = small("deepseek_v3");
  c.num_key_value_heads = 2;
  c.num_hidden_layers = 2;
  c.mla = {24, 32, 12, 4, 12};
  c.moe.n_routed_experts = 4;
  c.moe.n_shared_experts = 1;
  c.moe.num_experts_per_tok = 2;
  c.moe.moe_intermediate_size = 32;
  c.moe.first_k_dense_replace = 1;
  c.moe.n_group = 2;
  c.moe.topk_group = 1;
  c.num_nextn_predict_layers = 1;
  return c;
}

class GgufWriter : public testing::Test {
 protected:
  void SetUp() override { path_ = test_path("writer.gguf"); }
  void TearDown() override { std::filesystem::remove(path_); }

  static Model made(const Config& config) {
    Result<Model> model = Model::create(config, 7);
    EXPECT_TRUE(model.ok()) << model.status().message();
    return std::move(model).value();
  }

  Model written(const Model& model, DType type) {
    const Status status = save_gguf(model, path_, type, {}, rope_divisors(model.config()));
    EXPECT_TRUE(status.ok()) << status.message();
    return loaded(path_);
  }
  static Model loaded(const std::string& path) {
    Result<Model> read = Model::load(path, Model::Use::kInference);
    EXPECT_TRUE(read.ok()) << read.status().message();
    return std::move(read).value();
  }

  std::vector<float> logits(const Model& model) {
    std::vector<int32_t> ids(40), positions(40);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i * 7) % 48);
    std::iota(positions.begin(), positions.end(), 150);
    const Segment segment{0, 40, 0, -1, nullptr};
    Arena arena, scratch;
    Ctx cx{pool_, arena, scratch};
    const Tensor out = model.logits(cx, model.forward(cx, {ids, positions, {&segment, 1}}));
    return {out.data, out.data + out.size()};
  }

  ThreadPool pool_{1};
  std::string path_;
};

TEST_F(GgufWriter, FloatsComeBackToTheBit) {
  for (const char* name : {"llama", "qwen2", "qwen3"}) {
    const Model model = made(small(name));
    const Model read = written(model, DType::kF32);
    EXPECT_EQ(read.weights_hash(), model.weights_hash()) << name;
    EXPECT_EQ(read.config(), model.config()) << name;
    EXPECT_EQ(logits(read), logits(model)) << name;
  }
}

TEST_F(GgufWriter, DeepseekComesBackToTheBitInEitherForm) {
  Config shares = deepseek();
  shares.nextn_shares_embeddings = true;
  for (const Config& config : {deepseek(), shares}) {
    const Model model = made(config);  // expanded, as training has it
    ASSERT_TRUE(save_gguf(model, path_, DType::kF32, {}, {}).ok());
    Result<Model> same = Model::load(path_, Model::Use::kTraining);
    ASSERT_TRUE(same.ok()) << same.status().message();
    EXPECT_EQ(same->config(), model.config());
    EXPECT_EQ(same->weights_hash(), model.weights_hash());
    EXPECT_EQ(logits(*same), logits(model));

    const auto file = GgufFile::open(path_);
    ASSERT_TRUE(file.ok()) << file.status().message();
    const StoredTensor* experts = file->tensors().find("blk.1.ffn_up_exps.weight");
    ASSERT_NE(experts, nullptr);
    EXPECT_EQ(experts->shape, (std::vector<int64_t>{4, 32, 32}));
    const StoredTensor* keys = file->tensors().find("blk.0.attn_k_b.weight");
    ASSERT_NE(keys, nullptr);
    EXPECT_EQ(keys->shape, (std::vector<int64_t>{2, 32, 12}));
    EXPECT_EQ(file->tensors().find("blk.0.attn_kv_b.weight"), nullptr);

    const Model absorbed = loaded(path_);
    EXPECT_TRUE(absorbed.config().absorbs());
    const std::string again = path_ + ".again";
    ASSERT_TRUE(save_gguf(absorbed, again, DType::kF32, {}, {}).ok());
    const auto copy = GgufFile::open(again);
    std::filesystem::remove(again);
    ASSERT_TRUE(copy.ok()) << copy.status().message();
    ASSERT_EQ(copy->tensors().all().size(), file->tensors().all().size());
    for (const StoredTensor& want : file->tensors().all()) {
      const StoredTensor* got = copy->tensors().find(want.name);
      ASSERT_NE(got, nullptr) << want.name;
      EXPECT_EQ(got->shape, want.shape) << want.name;
      EXPECT_TRUE(std::ranges::equal(got->bytes, want.bytes)) << want.name;
    }
  }
}

// Routers stay in float32; the keys' halves have rows of part blocks.
TEST_F(GgufWriter, DeepseeksMatricesTakeTheType) {
  const Model model = made(deepseek());
  ASSERT_TRUE(save_gguf(model, path_, DType::kQ8_0, {}, {}).ok());
  const auto file = GgufFile::open(path_);
  ASSERT_TRUE(file.ok()) << file.status().message();
  const auto type = [&](const char* name) { return *file->tensors().find(name)->dtype; };
  EXPECT_EQ(type("blk.1.ffn_gate_inp.weight"), DType::kF32);
  EXPECT_EQ(type("blk.1.exp_probs_b.bias"), DType::kF32);
  EXPECT_EQ(type("blk.1.ffn_down_exps.weight"), DType::kQ8_0);
  EXPECT_EQ(type("blk.1.attn_v_b.weight"), DType::kQ8_0);
  EXPECT_EQ(type("blk.1.attn_k_b.weight"), DType::kF16);
  const Model read = loaded(path_);
  EXPECT_EQ(read.parameter_count(), model.parameter_count());
}

TEST_F(GgufWriter, OtherTypesHoldTheirRoundingOfEachWeight) {
  const Model model = made(small("llama"));
  for (const DType type : {DType::kF16, DType::kBF16, DType::kQ8_0}) {
    const Model read = written(model, type);
    const Format& format = format_of(type);
    for (size_t i = 0; i < model.parameters().size(); ++i) {
      const Parameter& p = model.parameters()[i];
      std::vector<float> want = model.parameter_values(p.weight);
      if (p.weight.layout == Layout::kPanels) {
        const auto n = static_cast<int64_t>(want.size());
        std::vector<std::byte> bytes(*bytes_for(type, n));
        format.encode(want.data(), nullptr, bytes.data(), n);
        format.decode(bytes.data(), want.data(), n);
      }
      EXPECT_EQ(read.parameters()[i].weight.dtype,
                p.weight.layout == Layout::kPanels ? type : DType::kF32);
      EXPECT_EQ(read.parameter_values(read.parameters()[i].weight), want)
          << p.name << " as " << format.name;
    }
    const std::string again = path_ + ".again";  // nothing is rounded twice
    ASSERT_TRUE(save_gguf(read, again, type, {}, {}).ok());
    Result<Model> twice = Model::load(again, Model::Use::kInference);
    std::filesystem::remove(again);
    ASSERT_TRUE(twice.ok()) << twice.status().message();
    EXPECT_EQ(twice->weights_hash(), read.weights_hash());
  }
}

TEST_F(GgufWriter, Llama3ScalingBecomesATensor) {
  Config config = small("llama");
  config.rope.kind = RopeKind::kLlama3;
  config.rope.factor = 8;
  config.rope.low_freq_factor = 1;
  config.rope.high_freq_factor = 4;
  config.rope.original_max_position_embeddings = 64;
  const Model model = made(config);
  const Model read = written(model, DType::kF32);
  const std::vector<float> want = logits(model), got = logits(read);
  float worst = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::fabs(want[i] - got[i]));
    size = std::max(size, std::fabs(want[i]));
  }
  EXPECT_LE(worst, 1e-5f * size);  // the divisors are float32
  config.rope = {};
  Result<Model> unscaled = Model::create(config, 7);
  ASSERT_TRUE(unscaled.ok());
  EXPECT_NE(logits(*unscaled), want);

  const std::vector<float> divisors = rope_divisors(model.config());
  EXPECT_EQ(divisors.front(), 1.0f);
  EXPECT_EQ(divisors.back(), 8.0f);

  // A folder can state it, too.
  const std::string folder = path_ + ".folder";
  ASSERT_TRUE(read.save(folder).ok());
  Result<Model> back = Model::load(folder, Model::Use::kInference);
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(back->config(), model.config());
  EXPECT_EQ(logits(*back), want);
}

TEST_F(GgufWriter, AFolderCannotHoldOtherDivisors) {
  const Model model = made(small("llama"));
  const std::vector<float> divisors = {1, 1, 1, 2, 1, 3, 8, 8};
  ASSERT_TRUE(save_gguf(model, path_, DType::kF32, {}, divisors).ok());
  const Status status = loaded(path_).save(path_ + ".folder");
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("rope_freqs"), std::string::npos) << status.message();
  EXPECT_FALSE(std::filesystem::exists(path_ + ".folder"));
}

TEST_F(GgufWriter, ACopyHasTheDivisorsToo) {
  const std::vector<float> divisors = {1, 1, 1, 2, 1, 3, 8, 8};
  ASSERT_TRUE(save_gguf(made(small("llama")), path_, DType::kF32, {}, divisors).ok());
  const Result<Model> model = Model::load(path_, Model::Use::kTraining);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Result<Model> copy = model->copy();
  ASSERT_TRUE(copy.ok()) << copy.status().message();
  EXPECT_EQ(logits(*copy), logits(*model));
  EXPECT_NE(logits(*copy), logits(made(small("llama"))));
}

TEST_F(GgufWriter, MetadataOfTheCallerStays) {
  const Model model = made(small("qwen2"));
  GgufMetadata metadata;
  metadata.set("general.name", GgufValue::string("a name"));
  metadata.set("tokenizer.ggml.eos_token_id", GgufValue::u32(5));
  ASSERT_TRUE(save_gguf(model, path_, DType::kQ8_0, metadata, {}).ok());
  const auto file = GgufFile::open(path_);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(**file->metadata().string("general.name"), "a name");
  EXPECT_EQ(**file->metadata().string("general.architecture"), "qwen2");
  EXPECT_EQ(*file->metadata().integer("general.file_type"), 7);
  EXPECT_EQ(*file->metadata().integer("tokenizer.ggml.eos_token_id"), 5);
  EXPECT_EQ(*file->metadata().integer("tokenizer.ggml.bos_token_id"), 1);
  EXPECT_EQ(file->tensors().find("rope_freqs.weight"), nullptr);
}

TEST_F(GgufWriter, RowsOfPartBlocksBecomeHalves) {
  Config config = small("llama");
  config.intermediate_size = 40;  // rows of down_proj
  const Model read = written(made(config), DType::kQ8_0);
  for (const Parameter& p : read.parameters()) {
    if (p.weight.layout != Layout::kPanels) continue;
    EXPECT_EQ(p.weight.dtype, p.weight.cols == 40 ? DType::kF16 : DType::kQ8_0) << p.name;
  }
}

TEST_F(GgufWriter, TooLargeForTheTypeWritesNothing) {
  Model model = made(small("llama"));
  model.flat_weights()[0] = 1e5f;
  const Status status = save_gguf(model, path_, DType::kF16, {}, {});
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("too large for f16"), std::string::npos) << status.message();
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_TRUE(save_gguf(model, path_, DType::kBF16, {}, {}).ok());
}

TEST_F(GgufWriter, TheFolderMustExist) {
  const Status status =
      save_gguf(made(small("llama")), path_ + "/no/such/x.gguf", DType::kF32, {}, {});
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find(path_), std::string::npos) << status.message();
}

}  // namespace
}  // namespace ponder
