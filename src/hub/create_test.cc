#include "hub/create.h"

#include <gtest/gtest.h>
#include <stdlib.h>  // setenv

#include <filesystem>
#include <vector>

#include "core/test_folder.h"
#include "hub/details.h"
#include "hub/resolve.h"
#include "io/gguf.h"
#include "io/safetensors.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

const std::vector<float> kValues(64, 1.5f);

StoredTensor tensor(const std::string& name) {
  return {name, DType::kF32, "f32", {2, 32}, std::as_bytes(std::span(kValues))};
}

void write_model(const std::string& path, const std::vector<StoredTensor>& tensors, int number = 0,
                 int count = 1) {
  GgufMetadata metadata;
  metadata.set("general.architecture", GgufValue::string("llama"));
  metadata.set("general.file_type", GgufValue::u32(0));
  if (count > 1) {
    metadata.set("split.no", GgufValue::u32(static_cast<uint32_t>(number)));
    metadata.set("split.count", GgufValue::u32(static_cast<uint32_t>(count)));
  }
  const Status status = write_gguf(path, metadata, tensors);
  ASSERT_TRUE(status.ok()) << status.message();
}

// A store in a folder of its own, which is the home folder too.
class CreateTest : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("HOME", folder_.path().c_str(), 1);
    for (const char* name : {"HF_HOME", "HF_HUB_CACHE"}) ::unsetenv(name);
  }

  Status create(const std::string& name, const std::string& text) {
    const auto modelfile = Modelfile::parse(text);
    if (!modelfile.ok()) return modelfile.status();
    CreateOptions options;
    options.folder = folder_.path();
    return create_model(store_, *ModelName::parse(name), *modelfile, options);
  }

  TestFolder folder_;
  Store store_{folder_ / "store"};
};

TEST_F(CreateTest, FromAFile) {
  write_model(folder_ / "a.gguf", {tensor("token_embd.weight")});
  const Status status = create("a", "FROM ./a.gguf\nPARAMETER top_k 5\n");
  ASSERT_TRUE(status.ok()) << status.message();
  const auto path = resolve_model(store_, "a");
  ASSERT_TRUE(path.ok()) << path.status().message();
  EXPECT_EQ(slurp(*path), slurp(folder_ / "a.gguf"));
  const auto model = find_in_store(store_, "A");
  const auto details = ModelDetails::from_json(*store_.read_layer(model->manifest.config));
  EXPECT_EQ(details->family, "llama");
  EXPECT_EQ(details->file_type, "F32");
  EXPECT_EQ(details->size, "64");
  const auto modelfile = modelfile_of(store_, *model);
  ASSERT_TRUE(modelfile.ok());
  EXPECT_EQ(modelfile->parameters.size(), 1u);
}

TEST_F(CreateTest, ANameIsNotAFileWhereOnlyNamesCount) {
  write_model(folder_ / "secret", {tensor("token_embd.weight")});
  Modelfile modelfile;
  modelfile.from = "secret";
  CreateOptions options;
  options.folder = folder_.path();
  options.names_only = true;
  const Status refused = create_model(store_, *ModelName::parse("mine"), modelfile, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.message().find("model of the store"), std::string::npos) << refused.message();
  options.names_only = false;
  const Status made = create_model(store_, *ModelName::parse("mine"), modelfile, options);
  EXPECT_TRUE(made.ok()) << made.message();
}

TEST_F(CreateTest, ParametersOfAnyBytes) {
  write_model(folder_ / "a.gguf", {tensor("token_embd.weight")});
  const Status made = create("odd", "FROM ./a.gguf\nPARAMETER stop \"\xff\"\n");
  EXPECT_TRUE(made.ok()) << made.message();
}

TEST_F(CreateTest, FromPartsOfASplitFile) {
  write_model(folder_ / "m-00001-of-00002.gguf", {tensor("token_embd.weight")}, 0, 2);
  write_model(folder_ / "m-00002-of-00002.gguf", {tensor("output.weight")}, 1, 2);
  const Status status = create("parts", "FROM m-00002-of-00002.gguf\n");
  ASSERT_TRUE(status.ok()) << status.message();
  const auto path = resolve_model(store_, "parts");
  ASSERT_TRUE(path.ok()) << path.status().message();
  EXPECT_TRUE(path->ends_with("/m-00001-of-00002.gguf")) << *path;
  const auto file = GgufFile::open(*path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->tensors().all().size(), 2u);
}

TEST_F(CreateTest, FromAFolder) {
  fs::create_directories(folder_ / "repo/other");
  plant(folder_ / "repo/config.json", R"({"model_type":"qwen2"})");
  plant(folder_ / "repo/README.md", "text");
  plant(folder_ / "repo/other/config.json", "{}");
  const std::vector<StoredTensor> tensors{tensor("model.embed_tokens.weight")};
  ASSERT_TRUE(write_safetensors(folder_ / "repo/model.safetensors", tensors).ok());
  const Status status = create("org/repo", "FROM repo\n");
  ASSERT_TRUE(status.ok()) << status.message();
  const auto path = resolve_model(store_, "org/repo");
  ASSERT_TRUE(path.ok()) << path.status().message();
  EXPECT_TRUE(SafetensorsFile::open(*path).ok());
  EXPECT_FALSE(fs::exists(*path + "/README.md"));
  plant(folder_ / "repo/config.json", "{}");
  EXPECT_NE(create("x", "FROM repo\n").message().find("model_type"), std::string::npos);
}

TEST_F(CreateTest, ResolvesInOrder) {
  write_model(folder_ / "a.gguf", {tensor("token_embd.weight")});
  ASSERT_TRUE(create("hf.co/org/repo:Q4_K_M", "FROM a.gguf\n").ok());
  EXPECT_TRUE(resolve_model(store_, "org/repo:q4_k_m").ok()) << "an organization means hf.co too";
  EXPECT_EQ(resolve_model(store_, "repo:q4_k_m").status().code(), Code::kNotFound);
  EXPECT_EQ(*resolve_model(store_, folder_ / "a.gguf"), folder_ / "a.gguf");
  const auto missing = resolve_model(store_, "deepseek-r1:8b").status();
  EXPECT_NE(missing.message().find("ponder pull deepseek-r1:8b"), std::string::npos);
  EXPECT_EQ(resolve_model(store_, "./a").status().message().find("pull"), std::string::npos);
  EXPECT_FALSE(resolve_model(store_, "").ok());
  // Ollama's own folder comes after the store.
  fs::create_directories(folder_ / ".ollama");
  fs::rename(store_.root(), folder_ / ".ollama/models");
  const auto theirs = resolve_model(store_, "org/repo:Q4_K_M");
  ASSERT_TRUE(theirs.ok()) << theirs.status().message();
  EXPECT_NE(theirs->find("/.ollama/"), std::string::npos);
}

}  // namespace
}  // namespace ponder
