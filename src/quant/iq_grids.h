// The code books of ggml's IQ types: a few hundred points of eight (IQ1, IQ2) or four (IQ3) small
// integers, of which a block stores the numbers. Source: the tables of ggml-common.h; IQ1_S and
// IQ1_M share one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ponder {

// For decoding: the integers themselves. IQ2: 8, 25, 43; IQ3_XXS: 4, 12, ..., 52, 62; IQ3_S: 1, 3,
// ..., 15; IQ1: -1, 0, 1.
template <size_t kPoints, size_t kComponents>
using GridValues = std::array<std::array<int8_t, kComponents>, kPoints>;

extern const GridValues<256, 8> kIq2XxsValues;
extern const GridValues<512, 8> kIq2XsValues;
extern const GridValues<1024, 8> kIq2SValues;
extern const GridValues<256, 4> kIq3XxsValues;
extern const GridValues<512, 4> kIq3SValues;
extern const GridValues<2048, 8> kIq1Values;

// For the search of encoders.
struct CodeBook {
  std::span<const uint16_t> points;  // numbers of levels, `bits` each, the first component lowest
  std::span<const int8_t> levels;    // ascending
  unsigned bits;

  // The number of the level of a component.
  size_t level(size_t point, size_t component) const {
    return (unsigned{points[point]} >> (bits * component)) & ((1u << bits) - 1);
  }
};

extern const CodeBook kIq2XxsBook, kIq2XsBook, kIq2SBook, kIq3XxsBook, kIq3SBook, kIq1Book;

// IQ2_XXS, IQ2_XS and IQ3_XXS store the signs of eight values in seven bits: the number of minus
// signs is even. Bit i of the result: value i is negative.
constexpr uint8_t even_signs(uint32_t seven_bits) {
  uint32_t parity = seven_bits ^ (seven_bits >> 4);
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return static_cast<uint8_t>(seven_bits | ((parity & 1u) << 7));
}

}  // namespace ponder
