// The FP8 folder of goldens/models: every pair of codes and scales reads, with sane weights.
#include "io/fp8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "io/quantization.h"
#include "io/safetensors.h"

namespace ponder {
namespace {

TEST(Fp8Golden, EveryPairReads) {
  const std::string folder = PONDER_SOURCE_DIR "/../shared/goldens/models/deepseek_v3_fp8";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "SKIPPED: no " << folder;
  EXPECT_EQ(load_quantization(folder)->method, QuantMethod::kFp8);
  const auto file = SafetensorsFile::open(folder);
  ASSERT_TRUE(file.ok()) << file.status().message();
  int pairs = 0;
  for (const StoredTensor& tensor : file->tensors().all()) {
    if (tensor.dtype != DType::kF8_E4M3) continue;
    ++pairs;
    ASSERT_TRUE(has_fp8(file->tensors(), tensor.name)) << tensor.name;
    const auto matrix = read_fp8(file->tensors(), tensor.name);
    ASSERT_TRUE(matrix.ok()) << matrix.status().message();
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    matrix->dequantize(0, matrix->rows, values.data());
    double squares = 0.0;
    for (const float v : values) squares += double{v} * double{v};
    // The model's matrices are drawn with deviation about 1 / sqrt(inputs).
    const double deviation =
        std::sqrt(squares / static_cast<double>(values.size()) * static_cast<double>(matrix->cols));
    EXPECT_GT(deviation, 0.3) << tensor.name;
    EXPECT_LT(deviation, 10.0) << tensor.name;
  }
  EXPECT_EQ(pairs, 40);
}

}  // namespace
}  // namespace ponder
