// Logits of GGUF files against a float64 forward over their exactly dequantized weights, measured
// as llama.cpp was: goldens/gguf.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "core/test_folder.h"
#include "io/safetensors.h"
#include "model/gguf_writer.h"
#include "model/model.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/gguf/";
constexpr int64_t kVocabulary = 512, kTokens = 77;

#define SKIP_WITHOUT_GOLDENS() \
  if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << "SKIPPED: no " << kFolder

// (77, 512): the logits of both sequences.
std::vector<float> logits_of(const Model& model, const SafetensorsFile& golden) {
  std::vector<int32_t> ids, positions;
  std::vector<Segment> segments;
  for (const char* name : {"ids_0", "ids_1"}) {
    const StoredTensor* t = golden.tensors().find(name);
    const auto first = static_cast<int64_t>(ids.size());
    const int64_t length = t->elements();
    const int64_t width = static_cast<int64_t>(t->bytes.size()) / length;  // of an id, in bytes
    for (int64_t i = 0; i < length; ++i) {
      int64_t id = 0;
      std::memcpy(&id, t->bytes.data() + i * width, static_cast<size_t>(width));
      ids.push_back(static_cast<int32_t>(id));
      positions.push_back(static_cast<int32_t>(i));
    }
    segments.push_back({first, length, 0, -1, nullptr});
  }
  ThreadPool pool(2);
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  const Tensor out = model.logits(cx, model.forward(cx, {ids, positions, segments}));
  return {out.data, out.data + out.size()};
}

std::vector<float> golden_values(const SafetensorsFile& golden, const std::string& name) {
  const StoredTensor* t = golden.tensors().find(name);
  EXPECT_NE(t, nullptr) << name;
  std::vector<float> out(static_cast<size_t>(t->elements()));
  const Status status = decode_tensor(*t, out);
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

std::vector<double> log_softmax(const float* row) {
  const double top = *std::max_element(row, row + kVocabulary);
  double sum = 0;
  for (int64_t i = 0; i < kVocabulary; ++i) sum += std::exp(static_cast<double>(row[i]) - top);
  std::vector<double> out;
  for (int64_t i = 0; i < kVocabulary; ++i) {
    out.push_back(static_cast<double>(row[i]) - top - std::log(sum));
  }
  return out;
}

// KL(want || got) of each token.
std::vector<double> divergences(const std::vector<float>& want, const std::vector<float>& got) {
  EXPECT_EQ(want.size(), static_cast<size_t>(kTokens * kVocabulary));
  EXPECT_EQ(got.size(), want.size());
  std::vector<double> out;
  for (int64_t t = 0; t < kTokens; ++t) {
    const auto p = log_softmax(want.data() + t * kVocabulary);
    const auto q = log_softmax(got.data() + t * kVocabulary);
    double kl = 0;
    for (size_t i = 0; i < p.size(); ++i) kl += std::exp(p[i]) * (p[i] - q[i]);
    out.push_back(kl);
  }
  return out;
}

double mean(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

Model loaded(const std::string& path) {
  Result<Model> model = Model::load(path, Model::Use::kInference);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

SafetensorsFile golden_of(const std::string& name) {
  auto golden = SafetensorsFile::open(kFolder + name + ".golden.safetensors");
  EXPECT_TRUE(golden.ok()) << golden.status().message();
  return std::move(golden).value();
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<int64_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

class GgufModel : public testing::TestWithParam<const char*> {};

// Quantized files may be 1.2 times as far off. Of quantized deepseek2 the median counts: its random
// router sits near ties, and where one flips, the mean says nothing.
TEST_P(GgufModel, LogitsAreAtLeastAsGoodAsLlamaCpps) {
  SKIP_WITHOUT_GOLDENS();
  const std::string name = std::string(GetParam()) + ".gguf";
  const nlohmann::json index = nlohmann::json::parse(std::ifstream(kFolder + "index.json"));
  const nlohmann::json& theirs = index["files"][name];
  const double their_mean = theirs["kl_llama_cpp_mean"], their_max = theirs["kl_llama_cpp_max"];
  const double their_median = theirs["kl_llama_cpp_median"];
  const SafetensorsFile golden = golden_of(name);
  const auto kl =
      divergences(golden_values(golden, "logits"), logits_of(loaded(kFolder + name), golden));
  const double worst = *std::max_element(kl.begin(), kl.end());
  RecordProperty("kl_mean", std::to_string(mean(kl)));
  const bool quantized = name.find("F16") == std::string::npos;
  if (!quantized) {
    EXPECT_LE(mean(kl), their_mean);
    EXPECT_LE(worst, their_max);
  } else if (name.starts_with("deepseek2")) {
    EXPECT_LE(median(kl), 1.2 * their_median);
  } else {
    EXPECT_LE(mean(kl), 1.2 * their_mean);
  }
  std::printf("%s: KL mean %.3g (llama.cpp %.3g), median %.3g (%.3g), max %.3g (%.3g)\n",
              name.c_str(), mean(kl), their_mean, median(kl), their_median, worst, their_max);
}

constexpr const char* kFiles[] = {
    "llama-F16",    "llama-BF16",    "llama-Q8_0",     "llama-Q4_0",       "llama-Q4_1",
    "llama-Q5_0",   "llama-Q5_1",    "llama-Q2_K",     "llama-Q3_K_M",     "llama-Q4_K_M",
    "llama-Q5_K_M", "llama-Q6_K",    "llama-IQ1_S",    "llama-IQ1_M",      "llama-IQ2_XXS",
    "llama-IQ2_XS", "llama-IQ2_S",   "llama-IQ3_XXS",  "llama-IQ3_S",      "llama-IQ4_NL",
    "llama-IQ4_XS", "llama-TQ1_0",   "llama-TQ2_0",    "qwen2-F16",        "qwen2-Q8_0",
    "qwen2-Q3_K_M", "qwen2-Q4_K_M",  "qwen3-F16",      "qwen3-Q8_0",       "qwen3-Q3_K_M",
    "qwen3-Q4_K_M", "deepseek2-F16", "deepseek2-Q8_0", "deepseek2-Q4_K_M", "deepseek2-MXFP4_MOE"};
INSTANTIATE_TEST_SUITE_P(All, GgufModel, testing::ValuesIn(kFiles));

// attn_kv_b, as older files have it, is attn_k_b and attn_v_b in another order.
TEST(GgufModels, BothLayoutsOfDeepseek2AreTheSameModel) {
  SKIP_WITHOUT_GOLDENS();
  const SafetensorsFile golden = golden_of("deepseek2-F16.gguf");
  for (const Model::Use use : {Model::Use::kInference, Model::Use::kTraining}) {
    const auto apart = Model::load(kFolder + "deepseek2-F16.gguf", use);
    ASSERT_TRUE(apart.ok()) << apart.status().message();
    const auto joined = Model::load(kFolder + "deepseek2-F16-attn_kv_b.gguf", use);
    ASSERT_TRUE(joined.ok()) << joined.status().message();
    EXPECT_EQ(apart->weights_hash(), joined->weights_hash());
    EXPECT_EQ(logits_of(*apart, golden), logits_of(*joined, golden));
    EXPECT_EQ(apart->config().absorbs(), use == Model::Use::kInference);
  }
}

// The halves are the floats rounded, so what the float32 file gives is near.
TEST(GgufModels, HalvesAreNearTheFloats) {
  SKIP_WITHOUT_GOLDENS();
  for (const std::string name : {"llama", "qwen2", "qwen3", "deepseek2"}) {
    const SafetensorsFile golden = golden_of(name + "-F32.gguf");
    const Model model = loaded(kFolder + name + "-F16.gguf");
    EXPECT_LE(mean(divergences(golden_values(golden, "logits"), logits_of(model, golden))), 1e-5);
  }
}

TEST(GgufModels, SplitFilesAndOldHeadersAreTheSameModel) {
  SKIP_WITHOUT_GOLDENS();
  const std::string hash = loaded(kFolder + "llama-Q8_0.gguf").weights_hash();
  const SafetensorsFile golden = golden_of("llama-Q8_0.gguf");
  const std::vector<float> logits = logits_of(loaded(kFolder + "llama-Q8_0.gguf"), golden);
  for (const char* name : {"llama-Q8_0-split-00001-of-00003.gguf",
                           "llama-Q8_0-split-00003-of-00003.gguf", "llama-v2-header.gguf"}) {
    const Model model = loaded(kFolder + name);
    EXPECT_EQ(model.weights_hash(), hash) << name;
    EXPECT_EQ(logits_of(model, golden), logits) << name;
  }
}

// Reading llama.cpp's file and writing it again gives the same tensors, byte for byte.
TEST(GgufModels, WritingGivesLlamaCppsTensors) {
  SKIP_WITHOUT_GOLDENS();
  const std::string path = test_path("gguf_models.gguf");
  const std::pair<std::string, DType> cases[] = {
      {"llama-F16", DType::kF16},      {"llama-BF16", DType::kBF16},
      {"llama-Q8_0", DType::kQ8_0},    {"qwen2-F16", DType::kF16},
      {"qwen2-Q8_0", DType::kQ8_0},    {"qwen3-F16", DType::kF16},
      {"qwen3-Q8_0", DType::kQ8_0},    {"deepseek2-F16", DType::kF16},
      {"deepseek2-Q8_0", DType::kQ8_0}};
  for (const auto& [name, type] : cases) {
    const auto theirs = GgufFile::open(kFolder + name + ".gguf");
    ASSERT_TRUE(theirs.ok()) << theirs.status().message();
    std::vector<float> divisors;
    if (const StoredTensor* factors = theirs->tensors().find("rope_freqs.weight")) {
      divisors.resize(static_cast<size_t>(factors->elements()));
      ASSERT_TRUE(decode_tensor(*factors, divisors).ok());
    }
    EXPECT_EQ(!divisors.empty(), name.starts_with("llama"));
    const Status status =
        save_gguf(loaded(kFolder + name + ".gguf"), path, type, theirs->metadata(), divisors);
    ASSERT_TRUE(status.ok()) << status.message();
    const auto ours = GgufFile::open(path);
    ASSERT_TRUE(ours.ok()) << ours.status().message();
    EXPECT_EQ(ours->tensors().all().size(), theirs->tensors().all().size());
    for (const StoredTensor& want : theirs->tensors().all()) {
      const StoredTensor* got = ours->tensors().find(want.name);
      ASSERT_NE(got, nullptr) << want.name;
      EXPECT_EQ(got->dtype, want.dtype) << want.name;
      EXPECT_EQ(got->shape, want.shape) << want.name;
      EXPECT_TRUE(std::ranges::equal(got->bytes, want.bytes)) << name << " " << want.name;
    }
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace ponder
