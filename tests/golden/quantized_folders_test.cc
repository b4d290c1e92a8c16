// GPTQ and FP8 folders, read as they are and written as float32 GGUF files, against a float64 forward
// over their exactly dequantized weights: goldens/models.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/test_folder.h"
#include "io/safetensors.h"
#include "model/gguf_source.h"
#include "ops/panels.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/models/";

std::vector<float> logits_of(const Model& model, const SafetensorsFile& golden, int threads) {
  const StoredTensor& stored_ids = **golden.tensors().get("input_ids");
  const int64_t rows = stored_ids.shape[0], length = stored_ids.shape[1];
  std::vector<int32_t> ids(static_cast<size_t>(rows * length)), positions;
  std::memcpy(ids.data(), stored_ids.bytes.data(), ids.size() * sizeof(int32_t));
  std::vector<Segment> segments;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < length; ++i) positions.push_back(static_cast<int32_t>(i));
    segments.push_back({row * length, length, 0, -1, nullptr});
  }
  ThreadPool pool(threads);
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  const Tensor logits = model.logits(cx, model.forward(cx, {ids, positions, segments}));
  return {logits.data, logits.data + logits.size()};
}

// 5e-5 is what the golden's README calls generous for float32.
void expect_golden(const std::vector<float>& got, const SafetensorsFile& golden) {
  std::vector<float> want(got.size());
  ASSERT_TRUE(decode_tensor(**golden.tensors().get("logits"), want).ok());
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_LE(std::fabs(got[i] - want[i]), 5e-5f) << "logit " << i;
  }
}

class QuantizedFolderGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(from_)) GTEST_SKIP() << "SKIPPED: no " << from_;
    Result<SafetensorsFile> opened = SafetensorsFile::open(from_ + "/golden.safetensors");
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    golden_ = std::make_unique<SafetensorsFile>(std::move(*opened));
  }
  Result<Model> written_as_gguf() const {
    const TestFolder folder;
    ASSIGN_OR_RETURN(const GgufSource source, GgufSource::open(from_));
    const std::vector<DType> types(source.tensors().size(), DType::kF32);
    ThreadPool pool(2);
    RETURN_IF_ERROR(write_gguf_source(source, folder / "model.gguf", *source.metadata(),
                                      {types, nullptr, {}}, pool));
    return Model::load(folder / "model.gguf", Model::Use::kInference);
  }

  const std::string from_ = kFolder + GetParam();
  std::unique_ptr<SafetensorsFile> golden_;
};

TEST_P(QuantizedFolderGolden, LogitsOfTheDequantizedWeights) {
  const auto model = written_as_gguf();
  ASSERT_TRUE(model.ok()) << model.status().message();
  expect_golden(logits_of(*model, *golden_, 2), *golden_);
}

// From the codes: the same numbers, and those of the decoded weights to the bit.
TEST_P(QuantizedFolderGolden, LogitsFromTheCodes) {
  const auto model = Model::load(from_, Model::Use::kInference);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const std::vector<float> got = logits_of(*model, *golden_, 1);
  expect_golden(got, *golden_);

  const auto decoded = written_as_gguf();
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  for (int threads : {2, 3}) EXPECT_EQ(got, logits_of(*decoded, *golden_, threads));

  // Memory is that of the file's tensors. Tables of scales weigh more here than in real models.
  int64_t bytes = 0, coded = 0, decoded_bytes = 0;
  const auto file = SafetensorsFile::open(from_);
  for (const StoredTensor& t : file->tensors().all()) bytes += static_cast<int64_t>(t.bytes.size());
  for (const Parameter& p : model->parameters()) coded += is_coded(p.weight);
  for (const Parameter& p : decoded->parameters())
    decoded_bytes += p.weight.rows * p.weight.cols * 4;
  EXPECT_GT(coded, 10);
  EXPECT_LT(model->weight_bytes(), bytes + bytes / 5);
  EXPECT_LT(model->weight_bytes(), decoded_bytes * 2 / 3);
}

// Trained weights are float32, the numbers that the codes stand for.
TEST_P(QuantizedFolderGolden, TrainingDecodes) {
  auto trained = Model::load(from_, Model::Use::kTraining);
  ASSERT_TRUE(trained.ok()) << trained.status().message();
  trained->attach_gradients();
  expect_golden(logits_of(*trained, *golden_, 2), *golden_);
  if (trained->config().is_mla()) return;  // whose inference has other matrices
  const auto model = Model::load(from_, Model::Use::kInference);
  ASSERT_TRUE(model.ok()) << model.status().message();
  for (const Parameter& p : trained->parameters()) {
    const std::vector<float> want = trained->parameter_values(p.weight);
    for (const Parameter& q : model->parameters()) {
      if (q.name == p.name && q.weight.layout != Layout::kPlain) {
        EXPECT_EQ(want, model->parameter_values(q.weight)) << p.name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, QuantizedFolderGolden,
                         testing::Values("gptq_2bit_g32", "gptq_3bit_g32_asym", "gptq_4bit_g32_sym",
                                         "gptq_4bit_g64_asym_act", "gptq_8bit_gall_sym",
                                         "gptq_v2_4bit_g128_asym", "deepseek_v3_fp8"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace ponder
