#include "quant/format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
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

constexpr int64_t kRow = 768;  // whole blocks of every format

std::vector<float> uniform_values(uint64_t seed, float low, float high) {
  std::mt19937_64 random(seed);
  std::vector<float> values(kRow);
  for (float& value : values) {
    value = low + (high - low) * static_cast<float>(random() >> 40) * 0x1p-24f;
  }
  return values;
}

std::vector<uint8_t> encoded(const Format& format, const std::vector<float>& values,
                             const float* importance = nullptr) {
  // One byte of offset: files give no alignment.
  std::vector<uint8_t> bytes(bytes_for(format.dtype, kRow).value() + 1);
  format.encode(values.data(), importance, bytes.data() + 1, kRow);
  bytes.erase(bytes.begin());
  return bytes;
}

std::vector<float> decoded(const Format& format, const std::vector<uint8_t>& bytes) {
  std::vector<uint8_t> shifted(1);
  shifted.insert(shifted.end(), bytes.begin(), bytes.end());
  std::vector<float> values(kRow);
  format.decode(shifted.data() + 1, values.data(), kRow);
  return values;
}

double root_mean_square(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float value : values) sum += double{value} * double{value};
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// Relative root mean square error that a format may have on uniform values. A block format with b
// bits a weight is near 2^-b; scale and importance take some of its bits.
double precision_of(const Format& format) {
  switch (format.dtype) {
    case DType::kF32:
      return 0.0;
    case DType::kF16:
      return 0x1p-12;
    case DType::kBF16:
      return 0x1p-9;
    case DType::kF8_E4M3:
      return 0x1p-5;
    default:
      return 3.0 * std::exp2(-8.0 * static_cast<double>(format.block_bytes) /
                             static_cast<double>(format.block_values));
  }
}

TEST(Format, WeightsRoundTripWithinTheirPrecision) {
  const std::vector<float> values = uniform_values(1, -1.0f, 1.0f);
  const std::vector<float> importance = uniform_values(2, 0.5f, 1.5f);
  for (const Format& format : formats()) {
    if (format.encode == nullptr) continue;
    for (const float* weights : {static_cast<const float*>(nullptr), importance.data()}) {
      std::vector<float> error = decoded(format, encoded(format, values, weights));
      for (size_t i = 0; i < error.size(); ++i) error[i] -= values[i];
      EXPECT_LE(root_mean_square(error), precision_of(format) * root_mean_square(values))
          << format.name << (weights != nullptr ? " with importance" : "");
    }
  }
}

TEST(Format, ZeroRowsStayZeroAndConstantRowsNear) {
  const std::vector<float> importance = uniform_values(2, 0.5f, 1.5f);
  for (const Format& format : formats()) {
    if (format.encode == nullptr) continue;
    for (const float* weights : {static_cast<const float*>(nullptr), importance.data()}) {
      for (const float constant : {0.0f, 0.75f, -0.75f, 1e-30f, -1e-30f}) {
        const std::vector<float> values(kRow, constant);
        // A scale that binary16 cannot hold is zero: 1e-30 may become 0.
        const double bound = precision_of(format) * std::fabs(double{constant}) +
                             (std::fabs(constant) < 1e-20f ? 1e-30 : 0.0);
        std::vector<float> error = decoded(format, encoded(format, values, weights));
        for (float& value : error) value -= constant;
        EXPECT_LE(root_mean_square(error), bound)
            << format.name << " for " << constant << (weights != nullptr ? " with importance" : "");
      }
    }
  }
}

// Any bytes decode, and both ways to read them agree.
TEST(Format, UnpackIsDecodeForAnyBytes) {
  std::mt19937_64 random(3);
  for (const Format& format : formats()) {
    if (format.unpack == nullptr) {
      EXPECT_EQ(format.step, 0) << format.name;
      continue;
    }
    ASSERT_TRUE(format.step == 16 || format.step == 32) << format.name;
    const auto groups = static_cast<size_t>(kRow / format.step);
    for (int round = 0; round < 200; ++round) {
      std::vector<uint8_t> bytes(bytes_for(format.dtype, kRow).value());
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      const std::vector<float> want = decoded(format, bytes);
      std::vector<int8_t> codes(kRow);
      std::vector<float> scales(groups), offsets(format.has_offset ? groups : 0);
      format.unpack(bytes.data(), codes.data(), scales.data(),
                    format.has_offset ? offsets.data() : nullptr, kRow);
      for (size_t i = 0; i < want.size(); ++i) {
        const size_t group = i / static_cast<size_t>(format.step);
        float value = scales[group] * static_cast<float>(codes[i]);
        if (format.has_offset) value += offsets[group];
        if (std::isnan(value) && std::isnan(want[i])) continue;  // of a NaN scale
        ASSERT_EQ(std::memcmp(&value, &want[i], sizeof value), 0)
            << format.name << " element " << i << ": " << value << " and " << want[i];
      }
    }
  }
}

// Encoders take whatever comes, and a bad block spoils no other one.
TEST(Format, OddValuesAreDefinedAndStayInTheirBlock) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kMost = std::numeric_limits<float>::max();
  const float odd[][4] = {{kNan, kNan, kNan, kNan},       {kNan, 1.0f, -2.0f, 0.5f},
                          {kInfinity, 1.0f, -1.0f, 0.0f}, {-kInfinity, kInfinity, kNan, 1.0f},
                          {kMost, -kMost, 1.0f, -0.0f},   {1e-45f, -1e-45f, 1e-40f, 0.0f},
                          {65504.0f, -1e6f, 3e4f, 1e-7f}};
  const std::vector<float> plain = uniform_values(4, -1.0f, 1.0f);
  const std::vector<float> ones(kRow, 1.0f), nothing(kRow, 0.0f), negative(kRow, -1.0f),
      broken(kRow, kNan);
  for (const Format& format : formats()) {
    if (format.encode == nullptr) continue;
    for (const auto& values : odd) {
      std::vector<float> row = plain;
      for (size_t i = 0; i < 256; ++i) row[i + 256] = values[i % 4];
      for (const auto* importance : {&ones, &nothing, &negative, &broken}) {
        static_cast<void>(decoded(format, encoded(format, row, importance->data())));
      }
      const std::vector<uint8_t> want = encoded(format, plain), got = encoded(format, row);
      const size_t third = want.size() / 3;
      EXPECT_EQ(std::memcmp(got.data(), want.data(), third), 0) << format.name;
      EXPECT_EQ(std::memcmp(got.data() + 2 * third, want.data() + 2 * third, third), 0)
          << format.name;
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
