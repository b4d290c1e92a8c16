// GPTQ matrices in every width and convention against exact dequantizations: goldens/models/gptq_*.
#include "io/gptq.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "io/safetensors.h"
#include "ops/panels.h"
#include "ops/panels_gptq.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/models/";

std::vector<float> golden_matrix(const SafetensorsFile& golden, std::string& prefix) {
  std::vector<float> values;
  for (const StoredTensor& tensor : golden.tensors().all()) {
    if (!tensor.name.starts_with("dequantized.")) continue;
    prefix = tensor.name.substr(12, tensor.name.size() - 12 - 7);  // without ".weight"
    values.resize(static_cast<size_t>(tensor.elements()));
    EXPECT_TRUE(decode_tensor(tensor, values).ok());
  }
  return values;
}

class GptqGolden : public testing::TestWithParam<const char*> {};

TEST_P(GptqGolden, DequantizesToTheBit) {
  const std::string folder = kFolder + GetParam();
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "SKIPPED: no " << folder;
  const auto quantization = load_quantization(folder);
  ASSERT_TRUE(quantization.ok()) << quantization.status().message();
  const auto file = SafetensorsFile::open(folder);
  const auto golden = SafetensorsFile::open(folder + "/golden.safetensors");
  ASSERT_TRUE(file.ok() && golden.ok());
  std::string prefix;
  const std::vector<float> want = golden_matrix(*golden, prefix);
  ASSERT_FALSE(want.empty());
  const auto matrix = read_gptq(file->tensors(), prefix, *quantization);
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  ASSERT_EQ(static_cast<size_t>(matrix->rows * matrix->cols), want.size());
  std::vector<float> got(want.size());
  matrix->dequantize(0, matrix->rows, got.data());
  EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0);

  // And from the panels.
  const InputGroups groups = input_groups(*matrix);
  Weight w{nullptr,         nullptr, matrix->rows, matrix->cols, gptq_dtype(matrix->bits),
           Layout::kPanels, &groups};
  std::vector<std::byte> panels(static_cast<size_t>(weight_bytes(w)));
  w.data = panels.data();
  gptq_to_panels(*matrix, groups, 0, matrix->rows, w.data);
  panels_to_rows(w, 0, w.rows, got.data());
  EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0);
  // Every other matrix of the folder reads too.
  for (const StoredTensor& tensor : file->tensors().all()) {
    if (!tensor.name.ends_with(".qweight")) continue;
    const auto other =
        read_gptq(file->tensors(), tensor.name.substr(0, tensor.name.size() - 8), *quantization);
    EXPECT_TRUE(other.ok()) << other.status().message();
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, GptqGolden,
                         testing::Values("gptq_2bit_g32", "gptq_3bit_g32_asym", "gptq_4bit_g32_sym",
                                         "gptq_4bit_g64_asym_act", "gptq_8bit_gall_sym",
                                         "gptq_v2_4bit_g128_asym"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace ponder
