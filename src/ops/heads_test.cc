// Slices, joins and products of heads, rotary pairs side by side.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "ops/ops.h"
#include "ops/test_check.h"
#include "quant/format.h"

namespace ponder {
namespace {

using testing::at;
using testing::Bench;
using testing::check;
using testing::Doubles;
using testing::expect_same_bits;
using testing::random_floats;
using testing::WithKernels;

// Heads of `width` in rows of `heads` of them.
double entry(const Doubles& x, int64_t heads, int64_t width, int64_t row, int64_t head, int64_t i) {
  return x[at((row * heads + head) * width + i)];
}

Doubles slice_oracle(const Doubles& x, int64_t rows, int64_t heads, int64_t offset, int64_t width) {
  const int64_t whole = static_cast<int64_t>(x.size()) / (rows * heads);
  Doubles y;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < width; ++i) y.push_back(entry(x, heads, whole, r, h, offset + i));
    }
  }
  return y;
}

Doubles concat_oracle(const Doubles& a, const Doubles& b, int64_t rows, int64_t heads, int64_t wa,
                      int64_t wb, bool shared) {
  Doubles y;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < wa; ++i) y.push_back(entry(a, heads, wa, r, h, i));
      for (int64_t i = 0; i < wb; ++i) {
        y.push_back(shared ? b[at(r * wb + i)] : entry(b, heads, wb, r, h, i));
      }
    }
  }
  return y;
}

TEST(Heads, Slice) {
  for (const auto& [heads, whole, offset, width] :
       {std::array<int64_t, 4>{1, 5, 0, 5}, {3, 24, 8, 16}, {2, 19, 0, 3}, {4, 17, 16, 1}}) {
    check({[&](Ctx& cx, const auto& x, const auto&) {
             return slice_heads(cx, x[0], heads, offset, width);
           },
           [&](const auto& in) { return slice_oracle(in[0], 3, heads, offset, width); },
           {{3, heads * whole}},
           {}});
  }
}

TEST(Heads, Concat) {
  for (bool shared : {false, true}) {
    for (const auto& [heads, wa, wb] :
         {std::array<int64_t, 3>{1, 5, 4}, {3, 16, 8}, {4, 17, 4}, {2, 1, 19}}) {
      check({[&](Ctx& cx, const auto& x, const auto&) {
               return concat_heads(cx, x[0], x[1], heads, shared);
             },
             [&](const auto& in) { return concat_oracle(in[0], in[1], 3, heads, wa, wb, shared); },
             {{3, heads * wa}, {3, shared ? wb : heads * wb}},
             {}});
    }
  }
}

// Gradients that meet in one tensor: two slices, a join of a tensor with itself, and its other uses.
TEST(Heads, GradientsAddUp) {
  check({[](Ctx& cx, const auto& x, const auto&) {
           const Tensor left = slice_heads(cx, x[0], 2, 0, 5);
           const Tensor right = slice_heads(cx, x[0], 2, 3, 5);
           const Tensor twice = concat_heads(cx, left, left, 2);
           const Tensor shared = concat_heads(cx, right, x[1], 2, true);
           return add(cx, add(cx, twice, shared), concat_heads(cx, right, x[1], 2, true));
         },
         [](const auto& in) {
           const Doubles left = slice_oracle(in[0], 3, 2, 0, 5);
           const Doubles right = slice_oracle(in[0], 3, 2, 3, 5);
           Doubles y = concat_oracle(left, left, 3, 2, 5, 5, false);
           const Doubles shared = concat_oracle(right, in[1], 3, 2, 5, 5, true);
           for (size_t i = 0; i < y.size(); ++i) y[i] += 2 * shared[i];
           return y;
         },
         {{3, 16}, {3, 5}},
         {}});
}

// Against linear() on each head alone: the same bits, for any number of rows and threads.
TEST(Heads, LinearOfEachHead) {
  constexpr int64_t kIn = 64, kOut = 24;
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0}) {
    for (int64_t heads : {1, 2, 7}) {
      const Format& format = format_of(dtype);
      const auto row_bytes = at(kIn / format.block_values * format.block_bytes);
      std::vector<std::vector<std::byte>> memory;
      std::vector<Weight> weights;
      for (int64_t h = 0; h < heads; ++h) {
        const auto w = random_floats(kOut * kIn, static_cast<uint64_t>(h + 1));
        std::vector<std::byte> rows(at(kOut) * row_bytes);
        format.encode(w.data(), nullptr, rows.data(), kOut * kIn);
        memory.emplace_back(at(weight_bytes(dtype, kOut, kIn)));
        rows_to_panels(dtype, rows.data(), 0, kOut, kIn, memory.back().data());
        weights.push_back({memory.back().data(), nullptr, kOut, kIn, dtype, Layout::kPanels});
      }
      for (int64_t rows : {1, 5, 40}) {
        const auto x = random_floats(rows * heads * kIn, 9);
        Bench bench(1, false);
        const Tensor all = bench.leaf(x, rows, heads * kIn);
        std::vector<float> expected(at(rows * heads * kOut));
        for (int64_t h = 0; h < heads; ++h) {
          const Tensor one = slice_heads(bench.ctx, all, 1, h * kIn, kIn);
          const Tensor y = linear(bench.ctx, one, weights[at(h)]);
          for (int64_t r = 0; r < rows; ++r) {
            std::copy_n(y.row(r), kOut, expected.begin() + (r * heads + h) * kOut);
          }
        }
        for (int threads : {1, 2, 3}) {
          Bench team(threads, false);
          const Tensor y = head_linear(team.ctx, team.leaf(x, rows, heads * kIn), weights);
          expect_same_bits(expected, Bench::copy(y),
                           std::string(format.name) + " " + std::to_string(heads) + " heads, " +
                               std::to_string(rows) + " rows");
        }
      }
    }
  }
}

TEST(Heads, RopeOfNeighbours) {
  for (const auto& [dim, heads] : {std::pair<int64_t, int64_t>{2, 1}, {8, 3}, {24, 2}, {64, 1}}) {
    const std::vector<int32_t> positions = {0, 4, 2, 2, 1};
    const auto table = random_floats(5 * dim, 7);  // not cosines and sines: any scaled table
    const auto turn = [&](Ctx& cx, const Tensor& x) {
      return rope(cx, x, positions, table.data(), dim, RopePairs::kNeighbours);
    };
    for (bool added : {false, true}) {
      check({[&](Ctx& cx, const auto& x, const auto&) {
               return added ? add(cx, turn(cx, x[0]), x[0]) : turn(cx, x[0]);
             },
             [&](const auto& in) {
               Doubles y = added ? in[0] : Doubles(in[0].size());
               for (size_t start = 0; start < y.size(); start += 2) {
                 const auto i = static_cast<int64_t>(start) % dim / 2;
                 const int64_t row = positions[start / at(heads * dim)] * dim;
                 const auto c = static_cast<double>(table[at(row + i)]);
                 const auto s = static_cast<double>(table[at(row + dim / 2 + i)]);
                 y[start] += in[0][start] * c - in[0][start + 1] * s;
                 y[start + 1] += in[0][start] * s + in[0][start + 1] * c;
               }
               return y;
             },
             {{5, heads * dim}},
             {}});
    }
    Bench bench(2, false);
    const Tensor x = bench.leaf(random_floats(5 * heads * dim, 3), 5, heads * dim);
    const auto expected = Bench::copy(turn(bench.ctx, x));
    for (const Kernels* t : available_kernels()) {
      const WithKernels scope(*t);
      expect_same_bits(expected, Bench::copy(turn(bench.ctx, x)), t->isa);
    }
  }
}

}  // namespace
}  // namespace ponder
