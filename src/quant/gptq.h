// GPTQ: codes of 2, 3, 4 or 8 bits with a float scale and an integer zero point per output and group
// of inputs; weight (o, i) is scales[g, o] * (code(o, i) - zeros[g, o]) with g the group of input i.
// Source: the layout that AutoGPTQ and GPTQModel write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ponder {

// Groups are a multiple of this long, and so are a matrix's inputs: 32 codes of any width fill whole
// 32-bit words.
constexpr int64_t kGptqStep = 32;

struct GptqMatrix {
  int bits = 0;
  int64_t rows = 0;    // outputs
  int64_t cols = 0;    // inputs, a multiple of kGptqStep
  int64_t group = 0;   // inputs in a group; the last group may have fewer
  int64_t groups = 0;  // ceil(cols / group)
  // (cols * bits / 32, rows) words of 32 bits, little endian: for each output, its codes one after
  // another from the lowest bit on, across words. Points into the file's map.
  const std::byte* words = nullptr;
  std::vector<float> scales;      // (groups, rows), finite
  std::vector<uint8_t> zeros;     // (groups, rows), in 0 .. 2^bits - 1
  std::vector<int32_t> group_of;  // (cols)

  // The codes of outputs [begin, begin + count) at the inputs [32 * step, 32 * step + 32), as
  // out[input][count].
  void unpack(int64_t step, int64_t begin, int64_t count, uint8_t* out) const;

  // Rows [begin, end) as float32, row-major; every product is exact where scales are binary16.
  void dequantize(int64_t begin, int64_t end, float* out) const;
};

}  // namespace ponder
