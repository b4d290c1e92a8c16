// GGUF files of llama.cpp's own converter and quantizer, and broken ones: goldens/gguf.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/test_folder.h"
#include "io/gguf.h"
#include "model/config.h"
#include "model/tensor_names.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/gguf/";

#define SKIP_WITHOUT_GOLDENS() \
  if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << "SKIPPED: no " << kFolder

// What loading a model goes through before it reads a weight.
Status check_file(const GgufFile& file) {
  ASSIGN_OR_RETURN(const Config config, config_from_gguf(file));
  return check_tensors(config, file.tensors(), Naming::kGguf);
}

Status check_path(const std::string& path) {
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  return check_file(file);
}

TEST(GgufFiles, EveryGoodFileIsListed) {
  SKIP_WITHOUT_GOLDENS();
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".gguf") continue;
    ++files;
    const auto file = GgufFile::open(entry.path().string());
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_FALSE(file->tensors().all().empty()) << entry.path();
    EXPECT_FALSE(file->metadata().entries().empty()) << entry.path();
    for (const StoredTensor& tensor : file->tensors().all()) {
      if (!tensor.dtype) {
        EXPECT_EQ(file->tensors().get(tensor.name).status().code(), Code::kUnsupported);
        continue;
      }
      std::vector<float> values(static_cast<size_t>(tensor.elements()));
      ASSERT_TRUE(decode_tensor(tensor, values).ok()) << tensor.name;
      for (const float value : values) ASSERT_TRUE(std::isfinite(value)) << tensor.name;
    }
  }
  EXPECT_GE(files, 40);
}

TEST(GgufFiles, DenseModelsMatchTheirConfig) {
  SKIP_WITHOUT_GOLDENS();
  for (const char* name :
       {"llama-F16", "llama-BF16", "llama-Q8_0", "llama-Q4_K_M", "llama-v2-header",
        "llama-Q8_0-split-00001-of-00003", "qwen2-F16", "qwen2-Q8_0", "qwen3-F16", "qwen3-Q8_0"}) {
    const Status status = check_path(kFolder + name + ".gguf");
    EXPECT_TRUE(status.ok()) << name << ": " << status.message();
  }
  const auto file = GgufFile::open(kFolder + "qwen3-Q8_0.gguf");
  const Config config = config_from_gguf(*file).value();
  EXPECT_EQ(config.architecture, "qwen3");
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.vocab_size, 512);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope.theta, 1e6);
  EXPECT_EQ(config.bos_id, 496);
  EXPECT_EQ(config.eos_ids, (std::vector<int64_t>{497}));
  EXPECT_FALSE(config.tie_word_embeddings);
}

// The split and the old header hold the model of llama-Q8_0.
TEST(GgufFiles, OneModelInThreeLayouts) {
  SKIP_WITHOUT_GOLDENS();
  const auto whole = GgufFile::open(kFolder + "llama-Q8_0.gguf");
  ASSERT_TRUE(whole.ok());
  for (const char* name :
       {"llama-v2-header", "llama-Q8_0-split-00001-of-00003", "llama-Q8_0-split-00003-of-00003"}) {
    const auto other = GgufFile::open(kFolder + name + ".gguf");
    ASSERT_TRUE(other.ok()) << other.status().message();
    ASSERT_EQ(other->tensors().all().size(), whole->tensors().all().size());
    for (const StoredTensor& tensor : whole->tensors().all()) {
      const StoredTensor* same = other->tensors().find(tensor.name);
      ASSERT_NE(same, nullptr) << tensor.name;
      EXPECT_EQ(same->shape, tensor.shape);
      ASSERT_EQ(same->bytes.size(), tensor.bytes.size());
      EXPECT_EQ(std::memcmp(same->bytes.data(), tensor.bytes.data(), tensor.bytes.size()), 0);
    }
  }
}

// Written again, a file has the same metadata and tensors, byte for byte.
TEST(GgufFiles, WrittenAgainItIsTheSame) {
  SKIP_WITHOUT_GOLDENS();
  const std::string source = kFolder + "llama-Q8_0.gguf";
  const std::string copy = test_path("gguf_copy.gguf");
  const auto file = GgufFile::open(source);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(write_gguf(copy, file->metadata(), file->tensors().all()).ok());
  EXPECT_TRUE(read_file(copy).value() == read_file(source).value());
  std::filesystem::remove(copy);
}

TEST(GgufFiles, BrokenFilesAreRefusedInOneLine) {
  SKIP_WITHOUT_GOLDENS();
  const std::string folder = kFolder + "malformed/";
  std::ifstream in(folder + "reasons.json");
  const auto reasons = nlohmann::json::parse(in);
  EXPECT_EQ(reasons.size(), 34u);
  for (const auto& [name, reason] : reasons.items()) {
    // empty.gguf is described as zero bytes but holds a whole, sound model: the zero bytes are made
    // here.
    const bool whole = name == "empty.gguf" && std::filesystem::file_size(folder + name) > 0;
    const Status status = whole ? GgufFile::parse({}).status() : check_path(folder + name);
    EXPECT_FALSE(status.ok()) << name << ": " << reason;
    EXPECT_FALSE(status.message().empty());
    EXPECT_EQ(status.message().find('\n'), std::string::npos) << status.message();
    EXPECT_LT(status.message().size(), 500u) << status.message();
  }
}

}  // namespace
}  // namespace ponder
