#include "model/gguf_source.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/test_folder.h"
#include "io/safetensors.h"
#include "model/folder_writer.h"
#include "model/mix.h"
#include "quant/f8.h"
#include "quant/format.h"

namespace ponder {
namespace {

Config small(const char* architecture) {
  Config config = Config::of(architecture);
  config.vocab_size = 48;
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 64;
  return config;
}

std::string hash_of(const std::string& path) {
  const auto model = Model::load(path, Model::Use::kTraining);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? model->weights_hash() : "";
}

void write_as(const std::string& from, const std::string& to,
              const std::vector<DType>& types = {}) {
  const auto source = GgufSource::open(from);
  ASSERT_TRUE(source.ok()) << source.status().message();
  std::vector<DType> natural;
  for (const GgufTensor& t : source->tensors()) natural.push_back(t.natural);
  ThreadPool pool(2);
  const Status status = write_gguf_source(*source, to, *source->metadata(),
                                          {types.empty() ? natural : types, nullptr, {}}, pool);
  ASSERT_TRUE(status.ok()) << status.message();
}

class GgufSourceTest : public testing::TestWithParam<const char*> {};

// Folder to GGUF to folder, whole and in shards: the same weights to the bit.
TEST_P(GgufSourceTest, ThereAndBackAgain) {
  const TestFolder folder;
  Config config = small(GetParam());
  if (config.architecture == "llama") {
    config.rope.kind = RopeKind::kLlama3;
    config.rope.factor = 8.0;
    config.rope.original_max_position_embeddings = 32;
  }
  const auto model = Model::create(config, 1);
  ASSERT_TRUE(model.ok());
  ASSERT_TRUE(model->save(folder / "model").ok());
  write_as(folder / "model", folder / "model.gguf");
  write_as(folder / "model.gguf", folder / "again.gguf");
  EXPECT_TRUE(slurp(folder / "model.gguf") == slurp(folder / "again.gguf"));
  EXPECT_EQ(hash_of(folder / "model.gguf"), model->weights_hash());
  const auto file = ModelFile::open(folder / "model.gguf");
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(folder_type(*file), DType::kF32);
  ThreadPool pool(2);
  for (const int64_t shard_bytes : {int64_t{4'000'000'000}, int64_t{40'000}}) {
    const std::string back = folder / std::to_string(shard_bytes);
    FolderOutput output{.type = DType::kF32, .shard_bytes = shard_bytes};
    const Status status = write_folder(*file, back, output, pool);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(hash_of(back), model->weights_hash());
    EXPECT_EQ(files_ending(back, ".safetensors").size() > 1, shard_bytes == 40'000);
    const Config read = *load_config(back);
    EXPECT_EQ(read.rope.kind, config.rope.kind);
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, GgufSourceTest, testing::Values("llama", "qwen2", "qwen3"));

TEST(GgufSource, QuantizesRowByRowWithImportance) {
  const TestFolder folder;
  ASSERT_TRUE(Model::create(small("qwen2"), 2)->save(folder / "model").ok());
  const auto source = GgufSource::open(folder / "model");
  ASSERT_TRUE(source.ok()) << source.status().message();
  ImportanceMatrix importance;
  ImportanceEntry& entry = importance.entries["blk.1.ffn_up.weight"];
  entry = {64, std::vector<double>(64, 1.0), {1.0}};
  for (size_t i = 0; i < 64; i += 3) entry.sums[i] = 100.0;
  std::vector<DType> types;
  for (const GgufTensor& t : source->tensors()) {
    types.push_back(t.shape.size() > 1 ? DType::kQ4_0 : DType::kF32);
  }
  ThreadPool pool(2);
  ASSERT_TRUE(write_gguf_source(*source, folder / "q.gguf", *source->metadata(),
                                {types, &importance, {}}, pool)
                  .ok());
  const auto file = GgufFile::open(folder / "q.gguf");
  ASSERT_TRUE(file.ok());
  const Format& format = format_of(DType::kQ4_0);
  const std::vector<float> weights = entry.means();
  for (size_t i = 0; i < types.size(); ++i) {
    const GgufTensor& tensor = source->tensors()[i];
    if (tensor.shape.size() < 2) continue;
    const auto reader = source->open_tensor(i);
    ASSERT_TRUE(reader.ok());
    std::vector<float> values(static_cast<size_t>(tensor.rows() * tensor.cols()));
    reader->read(0, tensor.rows(), values.data());
    const auto bytes = file->tensors().find(tensor.name)->bytes;
    std::vector<std::byte> want(bytes.size());
    const size_t row_bytes = bytes.size() / static_cast<size_t>(tensor.rows());
    for (int64_t r = 0; r < tensor.rows(); ++r) {
      format.encode(values.data() + r * tensor.cols(),
                    tensor.name == "blk.1.ffn_up.weight" ? weights.data() : nullptr,
                    want.data() + static_cast<size_t>(r) * row_bytes, tensor.cols());
    }
    EXPECT_EQ(std::memcmp(want.data(), bytes.data(), want.size()), 0) << tensor.name;
  }
  // A matrix of another model.
  entry.cols = 32;
  entry.counts = {1.0, 1.0};
  entry.counts.push_back(1.0);
  entry.sums.resize(96);
  const Status refused = write_gguf_source(*source, folder / "r.gguf", *source->metadata(),
                                           {types, &importance, {}}, pool);
  EXPECT_NE(refused.message().find("another model"), std::string::npos) << refused.message();
  EXPECT_TRUE(slurp(folder / "r.gguf").empty());
}

TEST(GgufSource, ValuesBeyondATypeAreRefused) {
  const TestFolder folder;
  auto model = Model::create(small("qwen2"), 2);
  model->flat_weights()[100] = 1e6f;
  ASSERT_TRUE(model->save(folder / "model").ok());
  const auto source = GgufSource::open(folder / "model");
  ASSERT_TRUE(source.ok());
  ThreadPool pool(2);
  for (const DType type : {DType::kF16, DType::kQ4_0, DType::kBF16}) {
    std::vector<DType> types;
    for (const GgufTensor& t : source->tensors()) {
      types.push_back(t.shape.size() > 1 ? type : DType::kF32);
    }
    const Status status = write_gguf_source(*source, folder / "q.gguf", *source->metadata(),
                                            {types, nullptr, {}}, pool);
    EXPECT_EQ(status.ok(), type == DType::kBF16) << format_of(type).name;
    if (!status.ok()) {
      EXPECT_NE(status.message().find("too large"), std::string::npos) << status.message();
    }
  }
}

// A folder whose matrices are FP8 reads as their products with the scales.
TEST(GgufSource, ReadsFp8Folders) {
  const TestFolder folder;
  const Config config = small("qwen2");
  ASSERT_TRUE(Model::create(config, 4)->save(folder / "model").ok());
  const auto plain = SafetensorsFile::open(folder / "model");
  ASSERT_TRUE(plain.ok());
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  std::vector<StoredTensor> tensors = plain->tensors().all();
  std::vector<uint8_t> codes(96 * 64);
  const std::vector<float> scale = {0.01f};
  for (StoredTensor& tensor : tensors) {
    if (tensor.name != name) continue;
    std::vector<float> values(codes.size());
    ASSERT_TRUE(decode_tensor(tensor, values).ok());
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = f32_to_f8_e4m3(values[i] / scale[0]);
    tensor.dtype = DType::kF8_E4M3;
    tensor.bytes = std::as_bytes(std::span(codes));
  }
  tensors.push_back(
      {name + "_scale_inv", DType::kF32, "f32", {1, 1}, std::as_bytes(std::span(scale))});
  ASSERT_TRUE(make_directories(folder / "fp8").ok());
  ASSERT_TRUE(write_safetensors(folder / "fp8/model.safetensors", tensors).ok());
  plant(folder / "fp8/config.json", slurp(folder / "model/config.json"));
  plant(folder / "fp8/quantize_config.json",
        R"({"quant_method": "fp8", "weight_block_size": [128, 128]})");
  const auto source = GgufSource::open(folder / "fp8");
  ASSERT_TRUE(source.ok()) << source.status().message();
  for (size_t i = 0; i < source->tensors().size(); ++i) {
    if (source->tensors()[i].name != "blk.1.ffn_up.weight") continue;
    EXPECT_EQ(source->tensors()[i].natural, DType::kBF16);
    const auto reader = source->open_tensor(i);
    ASSERT_TRUE(reader.ok());
    std::vector<float> row(64);
    reader->read(7, 8, row.data());
    for (size_t c = 0; c < row.size(); ++c) {
      EXPECT_EQ(row[c], f8_e4m3_to_f32(codes[7 * 64 + c]) * scale[0]);
    }
  }
}

// Cut or damaged anywhere, a file is refused in one line or is a model still.
TEST(GgufSource, CutsAndFlips) {
  const TestFolder folder;
  Config config = small("llama");
  config.num_hidden_layers = 1;
  ASSERT_TRUE(Model::create(config, 5)->save(folder / "model").ok());
  write_as(folder / "model", folder / "model.gguf");
  const std::string gguf = slurp(folder / "model.gguf");
  const std::string weights = slurp(folder / "model/model.safetensors");
  const auto check = [&](const std::string& path, bool cut) {
    const auto source = GgufSource::open(path);
    if (cut) {
      EXPECT_FALSE(source.ok());
    }
    if (!source.ok()) {
      EXPECT_EQ(source.status().message().find('\n'), std::string::npos);
      EXPECT_LT(source.status().message().size(), 600u);
    }
  };
  for (size_t n = 0; n < gguf.size(); n += 1 + gguf.size() / 80) {
    plant(folder / "cut.gguf", gguf.substr(0, n));
    check(folder / "cut.gguf", true);
  }
  for (size_t n = 0; n < weights.size(); n += 1 + weights.size() / 40) {
    plant(folder / "model/model.safetensors", weights.substr(0, n));
    check(folder / "model", true);
  }
  for (size_t bit = 0; bit < 1600 * 8; bit += 127) {
    std::string flipped = gguf;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    plant(folder / "flipped.gguf", flipped);
    check(folder / "flipped.gguf", false);
    flipped = weights;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    plant(folder / "model/model.safetensors", flipped);
    check(folder / "model", false);
  }
}

}  // namespace
}  // namespace ponder
