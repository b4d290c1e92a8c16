// Philox blocks, streams, conversions and normals against goldens/rng.
#include "core/rng.h"

#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace ponder {
namespace {

using Json = nlohmann::json;

uint64_t hex(const Json& text) { return std::stoull(text.get<std::string>(), nullptr, 16); }

template <typename Word, size_t N>
std::array<Word, N> words(const Json& list) {
  std::array<Word, N> result{};
  EXPECT_EQ(list.size(), N);
  for (size_t i = 0; i < N; ++i) result[i] = static_cast<Word>(hex(list[i]));
  return result;
}

std::array<uint32_t, 4> block(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  return philox4x32(counter, key);
}
std::array<uint64_t, 4> block(std::array<uint64_t, 4> counter, std::array<uint64_t, 2> key) {
  return philox4x64(counter, key);
}

// All of the row's output from successive blocks. `advance_first`: one is added before the first
// block too, as numpy does.
template <typename Word>
void expect_stream(const Json& row, bool advance_first) {
  auto counter = words<Word, 4>(row["counter"]);
  const auto key = words<Word, 2>(row["key"]);
  const Json& output = row["output"];
  ASSERT_EQ(output.size() % 4, 0u);
  for (size_t i = 0; i < output.size(); i += 4) {
    if (i > 0 || advance_first) philox_increment(counter);
    const auto got = block(counter, key);
    for (size_t word = 0; word < 4; ++word) EXPECT_EQ(got[word], hex(output[i + word]));
  }
}

void expect_row(const Json& row) {
  const auto kind = row["kind"].get<std::string>();
  if (kind == "philox4x32" || kind == "stream4x32") {
    expect_stream<uint32_t>(row, false);
  } else if (kind == "philox4x64" || kind == "stream4x64") {
    expect_stream<uint64_t>(row, false);
  } else if (kind == "numpy") {
    expect_stream<uint64_t>(row, true);
  } else if (kind == "u32_to_f32") {
    const float u = uniform_f32(static_cast<uint32_t>(hex(row["x"])));
    EXPECT_EQ(std::bit_cast<uint32_t>(u), hex(row["bits"]));
    EXPECT_EQ(static_cast<double>(u), row["value"].get<double>());
  } else if (kind == "u64_to_f64") {
    const double u = uniform_f64(hex(row["x"]));
    EXPECT_EQ(std::bit_cast<uint64_t>(u), hex(row["bits"]));
    EXPECT_EQ(u, row["value"].get<double>());
  } else if (kind == "normal") {
    const auto x = words<uint64_t, 2>(row["x"]);
    const auto z = normal_pair(x[0], x[1]);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(uniform_f64(x[i]), row["u"][i].get<double>());
      EXPECT_NEAR(z[i], row["z"][i].get<double>(), 2e-14);
    }
  } else {
    ADD_FAILURE() << "unknown kind " << kind;
  }
}

TEST(RngGolden, Philox) {
  const std::string path = PONDER_SOURCE_DIR "/../shared/goldens/rng/philox.jsonl";
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << path << " is absent";
  std::map<std::string, int> kinds;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    SCOPED_TRACE("line " + std::to_string(number));
    const Json row = Json::parse(line);
    ++kinds[row["kind"].get<std::string>()];
    expect_row(row);
  }
  EXPECT_EQ(kinds.size(), 8u);
}

}  // namespace
}  // namespace ponder
