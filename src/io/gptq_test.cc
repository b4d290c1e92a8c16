#include "io/gptq.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/test_folder.h"

namespace ponder {
namespace {

// Parts of a matrix of 64 inputs in two groups and 32 outputs, 4 bits, whose tensors may be damaged.
struct Parts {
  std::vector<uint32_t> words = std::vector<uint32_t>(8 * 32, 0x76543210u);
  std::vector<uint32_t> zeros = std::vector<uint32_t>(2 * 4, 0xf8f8f8f8u);
  std::vector<float> scales = std::vector<float>(2 * 32, 0.5f);
  std::vector<int32_t> groups;
  std::vector<int64_t> words_shape = {8, 32}, zeros_shape = {2, 4}, scales_shape = {2, 32},
                       groups_shape = {64};
  Quantization quantization = {.method = QuantMethod::kGptq, .bits = 4, .group_size = 32};

  Parts() {
    for (int32_t i = 0; i < 64; ++i) groups.push_back(i / 32);
  }

  template <typename T>
  static StoredTensor tensor(const char* name, DType dtype, std::vector<int64_t> shape,
                             const std::vector<T>& values) {
    return {name, dtype, "i32", std::move(shape), std::as_bytes(std::span(values))};
  }
  Result<GptqMatrix> read() const {
    TensorTable table;
    EXPECT_TRUE(table.add(tensor("X.qweight", DType::kI32, words_shape, words)).ok());
    EXPECT_TRUE(table.add(tensor("X.qzeros", DType::kI32, zeros_shape, zeros)).ok());
    EXPECT_TRUE(table.add(tensor("X.scales", DType::kF32, scales_shape, scales)).ok());
    if (!groups.empty()) {
      EXPECT_TRUE(table.add(tensor("X.g_idx", DType::kI32, groups_shape, groups)).ok());
    }
    EXPECT_TRUE(has_gptq(table, "X"));
    EXPECT_FALSE(has_gptq(table, "Y"));
    return read_gptq(table, "X", quantization);
  }
  void expect_refused(const char* part) const {
    const auto matrix = read();
    ASSERT_FALSE(matrix.ok()) << part;
    EXPECT_NE(matrix.status().message().find(part), std::string::npos) << matrix.status().message();
    EXPECT_EQ(matrix.status().message().find('\n'), std::string::npos);
  }
};

TEST(GptqReader, BothZeroPointConventions) {
  Parts parts;
  const auto one = parts.read();
  ASSERT_TRUE(one.ok()) << one.status().message();
  EXPECT_EQ(one->zeros[0], 9);  // stored 8, less one
  EXPECT_EQ(one->zeros[1], 0);  // stored 15, less one modulo 16
  parts.quantization.zeros_less_one = false;
  const auto two = parts.read();
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->zeros[0], 8);
  EXPECT_EQ(two->zeros[1], 15);
  std::vector<float> row(64);
  two->dequantize(1, 2, row.data());
  for (size_t c = 0; c < row.size(); ++c) {
    EXPECT_EQ(row[c], 0.5f * (static_cast<float>(c % 8) - 15.0f));
  }
}

TEST(GptqReader, GroupsComeFromTheTableOrFromTheirSize) {
  Parts parts;
  parts.groups.clear();
  EXPECT_EQ(parts.read()->group_of[33], 1);
  parts.quantization.group_size = -1;
  parts.zeros_shape = {1, 4};
  parts.zeros.resize(4);
  parts.scales_shape = {1, 32};
  parts.scales.resize(32);
  const auto whole = parts.read();
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  EXPECT_EQ(whole->groups, 1);
  EXPECT_EQ(whole->group_of[63], 0);
}

TEST(GptqReader, ThreeBitZerosCrossWords) {
  Parts parts;
  parts.quantization.bits = 3;
  parts.words_shape = {6, 32};
  parts.words.resize(6 * 32);
  parts.zeros_shape = {2, 3};
  // 32 zero points 0, 1, ..., 7, 0, 1, ... as they lie in three words; stored less one.
  uint32_t packed[3] = {};
  for (uint32_t bit = 0; bit < 96; ++bit) {
    packed[bit / 32] |= ((((bit / 3 + 7) % 8) >> (bit % 3)) & 1u) << (bit % 32);
  }
  parts.zeros.assign(std::begin(packed), std::end(packed));
  parts.zeros.insert(parts.zeros.end(), std::begin(packed), std::end(packed));
  const auto matrix = parts.read();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  for (size_t i = 0; i < matrix->zeros.size(); ++i) EXPECT_EQ(matrix->zeros[i], i % 8);
}

TEST(GptqReader, PartsThatDoNotFitAreRefused) {
  const auto refused = [](const char* part, auto damage) {
    Parts parts;
    damage(parts);
    parts.expect_refused(part);
  };
  refused("X.qweight", [](Parts& p) { p.words_shape = {256}; });
  refused("X.qweight", [](Parts& p) {
    p.words_shape = {32, 8};
    p.quantization.bits = 3;
  });
  refused("X.qweight", [](Parts& p) { p.words_shape = {0, 32}; });
  refused("X.qweight", [](Parts& p) { p.words_shape = {64, 4}; });  // zero points end inside a word
  refused("X.qzeros", [](Parts& p) { p.zeros_shape = {4, 2}; });
  refused("X.scales", [](Parts& p) { p.scales_shape = {32, 2}; });
  refused("X.scales", [](Parts& p) { p.scales[7] = std::numeric_limits<float>::infinity(); });
  refused("X.scales", [](Parts& p) { p.scales[7] = std::nanf(""); });
  refused("X.g_idx", [](Parts& p) { p.groups_shape = {8, 8}; });
  refused("X.g_idx", [](Parts& p) { p.groups[5] = 2; });
  refused("X.g_idx", [](Parts& p) { p.groups[5] = -1; });
  refused("X.g_idx", [](Parts& p) { p.groups[5] = 1; });  // 31 and 33
  refused("X.qzeros", [](Parts& p) { p.quantization.group_size = 64; });
}

TEST(QuantizationConfig, ReadsWhatPublishedFoldersHave) {
  const auto gptq = quantization_from_json(
      R"({"bits": 4, "group_size": 128, "desc_act": true, "sym": false, "model_name_or_path": null})");
  ASSERT_TRUE(gptq.ok()) << gptq.status().message();
  EXPECT_EQ(*gptq, (Quantization{QuantMethod::kGptq, 4, 128, true}));
  const auto v2 = quantization_from_json(
      R"({"quant_method": "gptq", "bits": 8, "group_size": -1, "checkpoint_format": "gptq_v2"})");
  ASSERT_TRUE(v2.ok());
  EXPECT_EQ(*v2, (Quantization{QuantMethod::kGptq, 8, -1, false}));
  const auto fp8 = quantization_from_json(
      R"({"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]})");
  ASSERT_TRUE(fp8.ok());
  EXPECT_EQ(fp8->method, QuantMethod::kFp8);
}

TEST(QuantizationConfig, RefusesOthers) {
  for (const auto& [text, part] : {
           std::pair{R"([])", "object"},
           {R"({"group_size": 128})", "bits"},
           {R"({"bits": 5, "group_size": 128})", "bits"},
           {R"({"bits": 4.5, "group_size": 128})", "bits"},
           {R"({"bits": 4, "group_size": 48})", "group_size"},
           {R"({"bits": 4, "group_size": 0})", "group_size"},
           {R"({"bits": 4, "group_size": 9223372036854775808})", "group_size"},
           {R"({"bits": 4, "group_size": 128, "checkpoint_format": "marlin"})",
            "checkpoint_format"},
           {R"({"bits": 4, "group_size": 128, "is_marlin_format": true})", "marlin"},
           {R"({"bits": 4, "group_size": 128, "dynamic": {"+:x": {"bits": 8}}})", "dynamic"},
           {R"({"quant_method": "awq"})", "quant_method"},
           {R"({"quant_method": 3})", "quant_method"},
           {R"({"quant_method": "fp8"})", "weight_block_size"},
           {R"({"quant_method": "fp8", "fmt": "e5m2", "weight_block_size": [128, 128]})", "fmt"},
           {R"({"quant_method": "fp8", "weight_block_size": [64, 64]})", "weight_block_size"},
       }) {
    const auto result = quantization_from_json(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_NE(result.status().message().find(part), std::string::npos) << result.status().message();
  }
}

TEST(QuantizationConfig, ConfigJsonComesFirst) {
  TestFolder folder;
  EXPECT_EQ(load_quantization(folder.path())->method, QuantMethod::kNone);
  plant(folder / "quantize_config.json", R"({"bits": 3, "group_size": 64})");
  EXPECT_EQ(load_quantization(folder.path())->bits, 3);
  plant(folder / "config.json", R"({"quantization_config": null})");
  EXPECT_EQ(load_quantization(folder.path())->bits, 3);
  plant(folder / "config.json", R"({"quantization_config": {"bits": 2, "group_size": 64}})");
  EXPECT_EQ(load_quantization(folder.path())->bits, 2);
  plant(folder / "config.json", R"({"quantization_config": {"bits": 1, "group_size": 64}})");
  EXPECT_NE(load_quantization(folder.path()).status().message().find("config.json"),
            std::string::npos);
}

}  // namespace
}  // namespace ponder
