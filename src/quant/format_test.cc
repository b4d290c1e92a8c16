#include "quant/format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

namespace ponder {
namespace {

TEST(Format, TableIsConsistent) {
  std::set<std::string> names;
  std::set<int32_t> types;
  for (const Format& format : formats()) {
    EXPECT_EQ(&format_of(format.dtype), &format) << format.name;
    EXPECT_EQ(find_format(format.name), &format);
    EXPECT_TRUE(names.insert(format.name).second) << format.name;
    EXPECT_EQ(format.decode == nullptr, format.encode == nullptr) << format.name;
    if (format.ggml_type == kNoGgmlType) continue;
    EXPECT_TRUE(types.insert(format.ggml_type).second) << format.name;
    const Result<GgmlType> found = find_ggml_type(static_cast<uint32_t>(format.ggml_type));
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->format, &format);
    EXPECT_EQ(found->block_bytes, format.block_bytes);
  }
  EXPECT_EQ(find_format("q9_9"), nullptr);
}

// A format that gets a row must leave the list of types known by size only.
TEST(Format, EveryGgmlNumberNamesOneType) {
  std::set<std::string> names;
  int known = 0;
  for (uint32_t id = 0; id < 200; ++id) {
    const Result<GgmlType> type = find_ggml_type(id);
    if (!type.ok()) continue;
    ++known;
    EXPECT_EQ(static_cast<uint32_t>(type->id), id);
    EXPECT_TRUE(names.insert(type->name).second) << type->name;
    EXPECT_EQ(find_format(type->name), type->format) << type->name;
  }
  EXPECT_EQ(known, 35);
  EXPECT_NE(find_ggml_type(4).status().message().find("removed"), std::string::npos);
  EXPECT_NE(find_ggml_type(200).status().message().find("unknown ggml type 200"),
            std::string::npos);
}

TEST(Format, BytesForChecksBlocksAndOverflow) {
  EXPECT_EQ(bytes_for(DType::kF32, 3).value(), 12u);
  EXPECT_EQ(bytes_for(DType::kBF16, 0).value(), 0u);
  EXPECT_EQ(bytes_for(DType::kQ8_0, 64).value(), 68u);
  EXPECT_EQ(bytes_for(DType::kQ8_0, 33).status().code(), Code::kInvalid);
  EXPECT_EQ(bytes_for(DType::kF32, -1).status().code(), Code::kInvalid);
  const int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(bytes_for(DType::kF32, most / 4).value(), static_cast<size_t>(most / 4 * 4));
  EXPECT_EQ(bytes_for(DType::kF32, most / 4 + 1).status().code(), Code::kExhausted);
  EXPECT_EQ(bytes_for(DType::kI8, most).value(), static_cast<size_t>(most));
}

TEST(Format, WeightsRoundTripWithinTheirPrecision) {
  std::vector<float> values(64);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = 0.01f * static_cast<float>(i) - 0.3f;
  }
  for (const Format& format : formats()) {
    if (format.decode == nullptr) continue;
    // One byte of offset: files give no alignment.
    std::vector<uint8_t> bytes(bytes_for(format.dtype, 64).value() + 1);
    std::vector<float> back(values.size());
    format.encode(values.data(), nullptr, bytes.data() + 1, 64);
    format.decode(bytes.data() + 1, back.data(), 64);
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_NEAR(back[i], values[i], format.dtype == DType::kF32 ? 0.0f : 2e-3f) << format.name;
    }
  }
}

TEST(Q8_0, LayoutAndRounding) {
  float values[32] = {};
  values[0] = 127.0f;  // scale 1
  values[1] = 0.5f;    // halves away from zero: 1
  values[2] = -2.5f;   // -3
  values[3] = 1.499f;  // 1
  uint8_t block[34];
  format_of(DType::kQ8_0).encode(values, nullptr, block, 32);
  EXPECT_EQ(block[0], 0x00);
  EXPECT_EQ(block[1], 0x3c);  // binary16 of 1, little endian
  EXPECT_EQ(static_cast<int8_t>(block[2]), 127);
  EXPECT_EQ(static_cast<int8_t>(block[3]), 1);
  EXPECT_EQ(static_cast<int8_t>(block[4]), -3);
  EXPECT_EQ(static_cast<int8_t>(block[5]), 1);
  EXPECT_EQ(block[6], 0);
}

TEST(Q8_0, OddValuesGiveDefinedCodes) {
  float values[32] = {};
  values[0] = std::numeric_limits<float>::infinity();
  values[1] = std::numeric_limits<float>::quiet_NaN();
  values[2] = -1.0f;
  uint8_t block[34];
  format_of(DType::kQ8_0).encode(values, nullptr, block, 32);
  for (int i = 2; i < 34; ++i) EXPECT_EQ(block[i], 0) << i;
  std::memset(values, 0, sizeof values);
  values[5] = std::numeric_limits<float>::denorm_min();  // its scale is zero
  format_of(DType::kQ8_0).encode(values, nullptr, block, 32);
  for (const uint8_t byte : block) EXPECT_EQ(byte, 0);
}

}  // namespace
}  // namespace ponder
