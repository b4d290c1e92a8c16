// What the tests of FP8 and GPTQ weights share: matrices of any codes, in panels, with the float32
// numbers that they stand for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "ops/panels.h"
#include "ops/panels_fp8.h"
#include "ops/panels_gptq.h"
#include "ops/testing.h"
#include "quant/f8.h"

namespace ponder::testing {

struct MadeGptq {
  std::vector<uint32_t> words;
  GptqMatrix matrix;
};

// Any words are codes. Groups of 64, of which the last may be shorter; in any order if `act_order`.
// Scales are float16 numbers unless `wide`.
inline MadeGptq make_gptq(int bits, int64_t rows, int64_t cols, bool act_order, bool wide) {
  Uniform uniform(static_cast<uint64_t>(bits * 4 + act_order * 2 + wide));
  MadeGptq made;
  GptqMatrix& m = made.matrix;
  m.bits = bits;
  m.rows = rows;
  m.cols = cols;
  m.group = 64;
  m.groups = (cols + 63) / 64;
  made.words.resize(static_cast<size_t>(cols * bits / 32 * rows));
  for (uint32_t& word : made.words) word = static_cast<uint32_t>(uniform.bits());
  m.words = reinterpret_cast<const std::byte*>(made.words.data());
  for (int64_t i = 0; i < m.groups * rows; ++i) {
    const auto scale = static_cast<float>(uniform.bits() % 1000) / 1024.0f - 0.4f;
    m.scales.push_back(wide ? scale : f16_to_f32(f32_to_f16(scale)));
    m.zeros.push_back(static_cast<uint8_t>(uniform.bits() & ((1u << bits) - 1u)));
  }
  for (int64_t i = 0; i < cols; ++i) m.group_of.push_back(static_cast<int32_t>(i / m.group));
  if (act_order) {
    for (size_t i = m.group_of.size(); i > 1; --i) {
      std::swap(m.group_of[i - 1], m.group_of[uniform.bits() % i]);
    }
  }
  return made;
}

// A weight in panels, the memory that it lies in, and its values, (rows, cols).
struct Coded {
  std::string name;
  std::vector<std::byte> memory;
  std::vector<float> values;
  std::vector<int32_t> group_of;
  InputGroups groups;
  Weight weight;

  Coded() = default;
  Coded(const Coded&) = delete;
};

inline void fill_gptq(Coded& out, int bits, int64_t rows, int64_t cols, bool act_order, bool wide) {
  const MadeGptq made = make_gptq(bits, rows, cols, act_order, wide);
  out.name = "gptq" + std::to_string(bits) + (act_order ? " shuffled" : "") + (wide ? " wide" : "");
  out.group_of = made.matrix.group_of;
  out.groups = input_groups(made.matrix);
  if (out.groups.of_input != nullptr) out.groups.of_input = out.group_of.data();
  out.weight = {nullptr, nullptr, rows, cols, gptq_dtype(bits), Layout::kPanels, &out.groups};
  out.memory.assign(static_cast<size_t>(weight_bytes(out.weight)), std::byte{0xff});
  out.weight.data = out.memory.data();
  const int64_t half = rows / 2 / kPanelRows * kPanelRows;  // in two goes
  gptq_to_panels(made.matrix, out.groups, 0, half, out.memory.data());
  gptq_to_panels(made.matrix, out.groups, half, rows, out.memory.data());
  out.values.resize(static_cast<size_t>(rows * cols));
  made.matrix.dequantize(0, rows, out.values.data());
}

// Every code but those of NaN.
inline void fill_fp8(Coded& out, int64_t rows, int64_t cols) {
  Uniform uniform(static_cast<uint64_t>(rows + cols));
  std::vector<uint8_t> codes(static_cast<size_t>(rows * cols));
  for (uint8_t& code : codes) {
    code = static_cast<uint8_t>(uniform.bits());
    if ((code & 0x7f) == 0x7f) code = 0x80;
  }
  const int64_t blocks = (cols + 127) / 128;
  const std::vector<float> scales = random_floats((rows + 127) / 128 * blocks, 5);
  out.name = "fp8";
  out.weight = {nullptr, nullptr, rows, cols, DType::kF8_E4M3, Layout::kPanels};
  out.memory.assign(static_cast<size_t>(weight_bytes(out.weight)), std::byte{0xff});
  out.weight.data = out.memory.data();
  const int64_t half = rows / 2 / kPanelRows * kPanelRows;
  EXPECT_TRUE(fp8_to_panels(codes.data(), scales.data(), 0, half, cols, out.memory.data()));
  EXPECT_TRUE(fp8_to_panels(codes.data(), scales.data(), half, rows, cols, out.memory.data()));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      out.values.push_back(f8_e4m3_to_f32(codes[static_cast<size_t>(r * cols + c)]) *
                           scales[static_cast<size_t>(r / 128 * blocks + c / 128)]);
    }
  }
}

// Calls f with a weight of every kind of codes.
template <typename Function>
void for_each_coded(int64_t rows, int64_t cols, Function f) {
  {
    Coded w;
    fill_fp8(w, rows, cols);
    f(w);
  }
  for (int bits : {2, 3, 4, 8}) {
    for (bool act_order : {false, true}) {
      for (bool wide : {false, true}) {
        Coded w;
        fill_gptq(w, bits, rows, cols, act_order, wide);
        f(w);
      }
    }
  }
}

}  // namespace ponder::testing
