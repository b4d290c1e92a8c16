// Formats against ggml's own encodings and decodings: goldens/quant.
#include <gtest/gtest.h>

#include <cctype>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "quant/format.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/quant/";

std::vector<float> floats(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& tensor = *file.tensors().get(name).value();
  std::vector<float> out(static_cast<size_t>(tensor.elements()));
  EXPECT_TRUE(decode_tensor(tensor, out).ok());
  return out;
}

void expect_decodes(const SafetensorsFile& file, const Format& format, const std::string& blocks,
                    const std::string& decoded) {
  const std::vector<float> want = floats(file, decoded);
  std::vector<float> got(want.size());
  format.decode(file.tensors().get(blocks).value()->bytes.data(), got.data(),
                static_cast<int64_t>(got.size()));
  for (size_t i = 0; i < want.size(); ++i) {
    uint32_t a, b;
    std::memcpy(&a, &got[i], 4);
    std::memcpy(&b, &want[i], 4);
    ASSERT_EQ(a, b) << format.name << " " << blocks << " element " << i << ": " << got[i] << " and "
                    << want[i];
  }
}

class QuantGolden : public testing::TestWithParam<const char*> {};

// decode: to the bit for all; encode: to the bit (index.json says encode_exact of these three).
TEST_P(QuantGolden, DecodesAndEncodesAsGgml) {
  std::string stem = GetParam();
  for (char& c : stem) c = static_cast<char>(std::toupper(c));
  const std::string path = kFolder + stem + ".safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "SKIPPED: no " << path;
  const auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  const Format* format = find_format(GetParam());
  ASSERT_NE(format, nullptr);
  expect_decodes(*file, *format, "blocks", "decoded");
  expect_decodes(*file, *format, "wild_blocks", "wild_decoded");

  const std::vector<float> src = floats(*file, "src");
  const auto want = file->tensors().get("blocks").value()->bytes;
  std::vector<std::byte> got(want.size());
  ASSERT_EQ(bytes_for(format->dtype, static_cast<int64_t>(src.size())).value(), got.size());
  format->encode(src.data(), nullptr, got.data(), static_cast<int64_t>(src.size()));
  EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size()), 0) << format->name;
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantGolden, testing::Values("f16", "bf16", "q8_0"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace ponder
