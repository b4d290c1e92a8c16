// Every format against ggml's own encodings and decodings: goldens/quant, whose README states the
// rules. Decoding is equal to the bit; encoding too where index.json says encode_exact, else its
// root mean square error is at most 2% above that of ggml's encoding of the same rows.
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "quant/format.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/quant/";
constexpr double kMostAbove = 1.02;
constexpr int64_t kColumns = 512;

std::string lower_case(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(c));
  return name;
}

// One type of index.json that has a decoder, and its tensors.
struct Golden {
  const Format& format;
  const nlohmann::json& facts;
  const SafetensorsFile& file;

  bool has(const char* name) const { return file.tensors().find(name) != nullptr; }
  std::span<const std::byte> bytes(const char* name) const {
    return file.tensors().get(name).value()->bytes;
  }
  std::vector<float> floats(const char* name) const {
    const StoredTensor& tensor = *file.tensors().get(name).value();
    std::vector<float> out(static_cast<size_t>(tensor.elements()));
    EXPECT_TRUE(decode_tensor(tensor, out).ok());
    return out;
  }
};

class QuantGolden : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << "SKIPPED: no " << kFolder;
    index_ = nlohmann::json::parse(std::ifstream(kFolder + "index.json")).at("types");
    ASSERT_EQ(index_.size(), 27u);
  }

  template <typename Check>
  void for_each_type(const Check& check) const {
    for (const auto& [name, facts] : index_.items()) {
      SCOPED_TRACE(name);
      const auto file = SafetensorsFile::open(kFolder + name + ".safetensors");
      ASSERT_TRUE(file.ok()) << file.status().message();
      const Format* format = find_format(lower_case(name));
      ASSERT_NE(format, nullptr);
      if (format->decode == nullptr) continue;  // EveryTypeIsComplete fails
      check(Golden{*format, facts, *file});
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  nlohmann::json index_;
};

void expect_same_bits(const std::vector<float>& got, const std::vector<float>& want,
                      const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::memcmp(&got[i], &want[i], sizeof(float)) == 0) continue;
    ADD_FAILURE() << what << ", element " << i << ": " << got[i] << ", expected " << want[i];
    return;
  }
}

std::vector<float> decode(const Format& format, const void* blocks, size_t n) {
  std::vector<float> out(n);
  format.decode(blocks, out.data(), static_cast<int64_t>(n));
  return out;
}

std::vector<float> from_integers(const Format& format, const void* blocks, size_t n) {
  const auto step = static_cast<size_t>(format.step);
  std::vector<int8_t> codes(n);
  std::vector<float> scales(n / step), offsets(format.has_offset ? n / step : 0), out(n);
  format.unpack(blocks, codes.data(), scales.data(), offsets.data(), static_cast<int64_t>(n));
  for (size_t i = 0; i < n; ++i) {
    out[i] = scales[i / step] * static_cast<float>(codes[i]);
    if (format.has_offset) out[i] += offsets[i / step];
  }
  return out;
}

// Rows of kColumns, each encoded by itself, as `quantize` does.
std::vector<std::byte> encode_rows(const Format& format, const std::vector<float>& src,
                                   const float* importance) {
  const size_t row = bytes_for(format.dtype, kColumns).value();
  std::vector<std::byte> out(src.size() / kColumns * row);
  for (size_t r = 0; r < src.size() / kColumns; ++r) {
    format.encode(src.data() + r * kColumns, importance, out.data() + r * row, kColumns);
  }
  return out;
}

// Root of the weighted mean of the squares; `importance` (one weight a column) may be null.
double rmse(const std::vector<float>& got, const std::vector<float>& want,
            const float* importance) {
  double sum = 0.0, weights = 0.0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = double{got[i]} - double{want[i]};
    const double weight = importance != nullptr ? double{importance[i % kColumns]} : 1.0;
    sum += weight * difference * difference;
    weights += weight;
  }
  return std::sqrt(sum / weights);
}

TEST_F(QuantGolden, EveryTypeIsComplete) {
  for (const auto& [name, facts] : index_.items()) {
    const Format* format = find_format(lower_case(name));
    ASSERT_NE(format, nullptr) << name;
    EXPECT_NE(format->decode, nullptr) << name;
    EXPECT_NE(format->encode, nullptr) << name;
    EXPECT_EQ(format->ggml_type, facts.at("ggml_type")) << name;
    EXPECT_EQ(format->block_values, facts.at("block_values")) << name;
    EXPECT_EQ(format->block_bytes, facts.at("block_bytes")) << name;
  }
}

TEST_F(QuantGolden, DecodesToTheBit) {
  const char* pairs[][2] = {{"blocks", "decoded"},
                            {"blocks_imatrix", "decoded_imatrix"},
                            {"wild_blocks", "wild_decoded"}};
  for_each_type([&](const Golden& golden) {
    for (const auto& [blocks, decoded] : pairs) {
      if (!golden.has(blocks)) continue;
      const std::vector<float> want = golden.floats(decoded);
      const void* bytes = golden.bytes(blocks).data();
      expect_same_bits(decode(golden.format, bytes, want.size()), want, blocks);
      if (golden.format.unpack == nullptr) continue;
      expect_same_bits(from_integers(golden.format, bytes, want.size()), want,
                       std::string(blocks) + " by unpack");
    }
  });
}

TEST_F(QuantGolden, EncodesAsGgmlOrAsWell) {
  for_each_type([](const Golden& golden) {
    if (golden.format.encode == nullptr || golden.facts.at("encode_needs_imatrix")) return;
    const std::vector<float> src = golden.floats("src");
    const std::vector<std::byte> got = encode_rows(golden.format, src, nullptr);
    const auto want = golden.bytes("blocks");
    ASSERT_EQ(got.size(), want.size());
    if (golden.facts.at("encode_exact")) {
      EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size()), 0);
      return;
    }
    const double ggml = rmse(golden.floats("decoded"), src, nullptr);
    EXPECT_NEAR(ggml, golden.facts.at("rmse").get<double>(), 1e-6 * ggml);
    const double ours = rmse(decode(golden.format, got.data(), src.size()), src, nullptr);
    RecordProperty(golden.format.name, std::to_string(ours / ggml));
    EXPECT_LE(ours, kMostAbove * ggml) << "ratio " << ours / ggml;
  });
}

TEST_F(QuantGolden, EncodesWithImportanceAsWellAsGgml) {
  for_each_type([](const Golden& golden) {
    if (golden.format.encode == nullptr || !golden.has("blocks_imatrix")) return;
    const std::vector<float> src = golden.floats("src"), importance = golden.floats("imatrix");
    const std::vector<std::byte> got = encode_rows(golden.format, src, importance.data());
    const double ggml = rmse(golden.floats("decoded_imatrix"), src, importance.data());
    EXPECT_NEAR(ggml, golden.facts.at("weighted_rmse_imatrix").get<double>(), 1e-6 * ggml);
    const double ours = rmse(decode(golden.format, got.data(), src.size()), src, importance.data());
    RecordProperty(golden.format.name, std::to_string(ours / ggml));
    EXPECT_LE(ours, kMostAbove * ggml) << "ratio " << ours / ggml;
  });
}

}  // namespace
}  // namespace ponder
