// Files from before GGUF against a float64 forward over their exactly dequantized weights:
// goldens/gguf/legacy.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "core/test_folder.h"
#include "io/ggml.h"
#include "io/safetensors.h"
#include "model/model.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/gguf/legacy/";

class LegacyGolden : public testing::TestWithParam<const char*> {};

// Through a GGUF file of decoded weights, so that only the reading is tested: float32 loses about 1e-5
// on logits of this size.
TEST_P(LegacyGolden, LogitsAreThoseOfTheDecodedWeights) {
  const std::string path = kFolder + GetParam() + ".bin";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "SKIPPED: no " << path;
  const auto file = LegacyFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  std::vector<std::vector<float>> values;
  std::vector<StoredTensor> tensors;
  for (const StoredTensor& tensor : file->tensors().all()) {
    values.emplace_back(static_cast<size_t>(tensor.elements()));
    ASSERT_TRUE(decode_tensor(tensor, values.back()).ok());
    tensors.push_back(tensor);
    tensors.back().dtype = DType::kF32;
    tensors.back().bytes = std::as_bytes(std::span(values.back()));
  }
  const TestFolder folder;
  const Status written = write_gguf(folder / "model.gguf", file->metadata(), tensors);
  ASSERT_TRUE(written.ok()) << written.message();
  const auto model = Model::load(folder / "model.gguf", Model::Use::kInference);
  ASSERT_TRUE(model.ok()) << model.status().message();

  const auto golden = SafetensorsFile::open(path + ".golden.safetensors");
  ASSERT_TRUE(golden.ok()) << golden.status().message();
  const StoredTensor& stored_ids = **golden->tensors().get("ids");
  std::vector<int32_t> ids(static_cast<size_t>(stored_ids.elements())), positions(ids.size());
  std::memcpy(ids.data(), stored_ids.bytes.data(), ids.size() * sizeof(int32_t));
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<Segment> segments = {{0, static_cast<int64_t>(ids.size()), 0, -1, nullptr}};
  ThreadPool pool(2);
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  const Tensor logits = model->logits(cx, model->forward(cx, {ids, positions, segments}));
  std::vector<float> want(static_cast<size_t>(logits.size()));
  ASSERT_TRUE(decode_tensor(**golden->tensors().get("logits"), want).ok());
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_LE(std::fabs(logits.data[i] - want[i]), 5e-5f) << "logit " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, LegacyGolden,
                         testing::Values("ggml-f32", "ggml-f16", "ggmf-f16", "ggjt1-f16",
                                         "ggjt2-q5_1", "ggjt3-q4_0", "ggjt3-q8_0"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(LegacyGolden, Vocabulary) {
  if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << "SKIPPED: no " << kFolder;
  const auto file = LegacyFile::open(kFolder + "ggmf-f16.bin");
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file->vocabulary().size(), 320u);
  EXPECT_EQ(file->vocabulary()[319].bytes, " iii");
  EXPECT_EQ(file->vocabulary()[319].score, -319.0f);
  const GgufMetadata metadata = file->metadata();
  const auto& tokens = **metadata.strings("tokenizer.ggml.tokens");
  EXPECT_EQ(tokens[0], "<unk>");
  EXPECT_EQ(tokens[4], "<0x01>");
  EXPECT_EQ(tokens[319], "\u2581iii");
}

}  // namespace
}  // namespace ponder
