// GPTQ and FP8 folders written as float32 GGUF files, against a float64 forward over their exactly
// dequantized weights: goldens/models.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/test_folder.h"
#include "io/safetensors.h"
#include "model/gguf_source.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/models/";

class QuantizedFolderGolden : public testing::TestWithParam<const char*> {};

// 5e-5 is what the golden's README calls generous for float32.
TEST_P(QuantizedFolderGolden, LogitsOfTheDequantizedWeights) {
  const std::string from = kFolder + GetParam();
  if (!std::filesystem::exists(from)) GTEST_SKIP() << "SKIPPED: no " << from;
  const TestFolder folder;
  const auto source = GgufSource::open(from);
  ASSERT_TRUE(source.ok()) << source.status().message();
  const std::vector<DType> types(source->tensors().size(), DType::kF32);
  ThreadPool pool(2);
  const Status written = write_gguf_source(*source, folder / "model.gguf", *source->metadata(),
                                           {types, nullptr, {}}, pool);
  ASSERT_TRUE(written.ok()) << written.message();
  const auto model = Model::load(folder / "model.gguf", Model::Use::kInference);
  ASSERT_TRUE(model.ok()) << model.status().message();

  const auto golden = SafetensorsFile::open(from + "/golden.safetensors");
  ASSERT_TRUE(golden.ok()) << golden.status().message();
  const StoredTensor& stored_ids = **golden->tensors().get("input_ids");
  const int64_t rows = stored_ids.shape[0], length = stored_ids.shape[1];
  std::vector<int32_t> ids(static_cast<size_t>(rows * length)), positions;
  std::memcpy(ids.data(), stored_ids.bytes.data(), ids.size() * sizeof(int32_t));
  std::vector<Segment> segments;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < length; ++i) positions.push_back(static_cast<int32_t>(i));
    segments.push_back({row * length, length, 0, -1, nullptr});
  }
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  const Tensor logits = model->logits(cx, model->forward(cx, {ids, positions, segments}));
  std::vector<float> want(static_cast<size_t>(logits.size()));
  ASSERT_TRUE(decode_tensor(**golden->tensors().get("logits"), want).ok());
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_LE(std::fabs(logits.data[i] - want[i]), 5e-5f) << "logit " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, QuantizedFolderGolden,
                         testing::Values("gptq_2bit_g32", "gptq_3bit_g32_asym", "gptq_4bit_g32_sym",
                                         "gptq_4bit_g64_asym_act", "gptq_8bit_gall_sym",
                                         "gptq_v2_4bit_g128_asym", "deepseek_v3_fp8"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace ponder
