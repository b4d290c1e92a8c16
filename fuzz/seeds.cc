// A fuzz target as a test: its seeds as they are, cut short, and with bits flipped. Where it plants none, a few texts are.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/rng.h"
#include "core/test_folder.h"
#include "fuzz.h"

namespace ponder {
namespace {

constexpr size_t kMostBytes = size_t{64} << 20;  // of a seed
constexpr size_t kCuts = 200, kFlips = 400;      // of each seed

std::vector<std::string> seeds_of(const std::string& folder) {
  plant(folder);
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    Result<std::string> seed = read_file(entry.path().string(), kMostBytes);
    PONDER_CHECK(seed.ok());
    out.push_back(std::move(seed).value());
  }
  if (out.empty()) out = {"{\"a\": [1, -2.5e3, \"b\\u00e9\\n\"]}\n{}\n", "a = 1\n[b]\nc = \"d\"\n"};
  return out;
}

void run_all(const std::string& seed, uint64_t number) {
  run(seed);
  for (size_t i = 0; i < std::min(kCuts, seed.size()); ++i) {
    run(std::string_view(seed).substr(0, i * seed.size() / std::min(kCuts, seed.size())));
  }
  if (seed.empty()) return;
  for (size_t i = 0; i < kFlips; ++i) {
    std::string flipped = seed;
    const double place = uniform_at(1, number, 2 * i), bit = uniform_at(1, number, 2 * i + 1);
    char& byte = flipped[static_cast<size_t>(place * static_cast<double>(seed.size()))];
    byte = static_cast<char>(byte ^ (1 << static_cast<int>(bit * 8)));
    run(flipped);
  }
}

}  // namespace
}  // namespace ponder

int main() {
  const ponder::TestFolder folder;
  const std::vector<std::string> seeds = ponder::seeds_of(folder.path());
  for (size_t i = 0; i < seeds.size(); ++i) ponder::run_all(seeds[i], i);
  std::printf("%zu seeds\n", seeds.size());
}
