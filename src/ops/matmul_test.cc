// Quantized products of every format, in panels and in rows, on every instruction set, against plain
// scalar arithmetic, to the bit.
#include "ops/matmul.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "ops/ops.h"
#include "ops/test_coded.h"
#include "ops/test_quant.h"
#include "ops/test_step.h"

namespace ponder {
namespace {

using testing::Bench;
using testing::expect_same_bits;
using testing::quant_oracle;
using testing::quantized_formats;
using testing::random_blocks;
using testing::random_floats;
using testing::spiky_floats;
using testing::WithKernels;

size_t at(int64_t i) { return static_cast<size_t>(i); }

// A weight in the given layout, with the memory it lies in.
struct Stored {
  Stored(const Format& format, const std::vector<std::byte>& rows, int64_t n, int64_t cols,
         Layout layout) {
    if (layout == Layout::kPanels) {
      memory.resize(at(weight_bytes(format.dtype, n, cols)));
      rows_to_panels(format.dtype, rows.data(), 0, n, cols, memory.data());
      weight.data = memory.data();
    } else {
      memory.resize(rows.size() + 1);  // rows of a file may lie at any address
      std::copy(rows.begin(), rows.end(), memory.begin() + 1);
      weight.data = memory.data() + 1;
    }
    weight.rows = n;
    weight.cols = cols;
    weight.dtype = format.dtype;
    weight.layout = layout;
  }
  std::vector<std::byte> memory;
  Weight weight;
};

std::vector<Layout> layouts_of(const Format& format) {
  if (packs(format.dtype)) return {Layout::kRows, Layout::kPanels};
  return {Layout::kRows};
}

std::string what(const Kernels& t, const Format& format, Layout layout, int64_t rows, int64_t n) {
  return std::string(t.isa) + " " + format.name +
         (layout == Layout::kRows ? " in rows, " : " in panels, ") + std::to_string(rows) + " x " +
         std::to_string(n);
}

TEST(QuantizedProduct, EqualsScalarArithmeticForEveryFormatAndTable) {
  constexpr int64_t kMost = 131;  // more than a tile of activations
  int packed = 0;
  for (const Format* format : quantized_formats()) {
    for (const auto& [n, blocks] :
         {std::pair<int64_t, int64_t>{1, 1}, {7, 3}, {16, 2}, {33, 1}, {48, 2}}) {
      const int64_t cols = blocks * std::max<int64_t>(32, format->block_values);
      const auto rows = random_blocks(*format, n, cols, static_cast<uint64_t>(n));
      const auto x = spiky_floats(kMost * cols, 3);
      const auto expected = quant_oracle(*format, rows, n, x, kMost, cols);
      for (Layout layout : layouts_of(*format)) {
        packed += layout == Layout::kPanels;
        Stored w(*format, rows, n, cols, layout);
        for (const Kernels* t : available_kernels()) {
          const WithKernels scope(*t);
          for (int64_t count : {1, 2, 3, 7, 32, 100, 131}) {
            Bench bench(count == 100 ? 3 : 1, false);
            const Tensor y = bench.arena.tensor(count, n);
            matmul(bench.ctx, {const_cast<float*>(x.data()), count, cols, 0}, w.weight, y.data);
            expect_same_bits({expected.data(), at(count * n)}, Bench::copy(y),
                             what(*t, *format, layout, count, n));
          }
        }
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
  EXPECT_GT(packed, 0);
}

TEST(QuantizedProduct, ThreadsAndCompanyChangeNothing) {
  for (const Format* format : quantized_formats()) {
    const int64_t n = 200, cols = 512, count = 150;
    const auto rows = random_blocks(*format, n, cols, 5);
    const auto x = random_floats(count * cols, 6), b = random_floats(n, 7);
    Weight bias{const_cast<float*>(b.data()), nullptr, 1, n, DType::kF32, Layout::kPlain};
    for (Layout layout : layouts_of(*format)) {
      Stored w(*format, rows, n, cols, layout);
      Bench one(1, false);
      const Tensor all = one.leaf(x, count, cols);
      const auto expected = Bench::copy(linear(one.ctx, all, w.weight, &bias));
      for (int threads : {2, 3}) {
        Bench bench(threads, false);
        const std::string name = std::string(format->name) + " " + std::to_string(threads);
        expect_same_bits(expected, Bench::copy(linear(bench.ctx, all, w.weight, &bias)), name);
        for (const auto& [first, rows_of] : {std::pair<int64_t, int64_t>{149, 1}, {3, 140}}) {
          const Tensor some{all.row(first), rows_of, cols, 0};
          expect_same_bits({expected.data() + first * n, at(rows_of * n)},
                           Bench::copy(linear(bench.ctx, some, w.weight, &bias)), name + " alone");
        }
      }
    }
  }
}

// Floating-point types in rows are the chain over the decoded numbers.
TEST(FloatProduct, RowsOfAFileGiveTheBitsOfPanels) {
  const int64_t n = 83, cols = 544, count = 50;
  const auto values = random_floats(n * cols, 1), x = random_floats(count * cols, 2);
  for (const Format& format : formats()) {
    if (format.decode == nullptr || format.unpack != nullptr || cols % format.block_values != 0)
      continue;
    std::vector<std::byte> rows(*bytes_for(format.dtype, n * cols));
    for (int64_t r = 0; r < n; ++r) {
      format.encode(values.data() + r * cols, nullptr, rows.data() + at(r) * rows.size() / at(n),
                    cols);
    }
    std::vector<float> decoded(at(n * cols));
    format.decode(rows.data(), decoded.data(), n * cols);
    std::vector<std::byte> as_bytes(decoded.size() * 4);
    std::memcpy(as_bytes.data(), decoded.data(), as_bytes.size());
    Stored reference(format_of(DType::kF32), as_bytes, n, cols, Layout::kPanels);
    Bench bench(2, false);
    const Tensor all = bench.leaf(x, count, cols);
    const auto expected = Bench::copy(linear(bench.ctx, all, reference.weight));
    for (Layout layout : layouts_of(format)) {
      Stored w(format, rows, n, cols, layout);
      for (const Kernels* t : available_kernels()) {
        const WithKernels scope(*t);
        expect_same_bits(expected, Bench::copy(linear(bench.ctx, all, w.weight)),
                         what(*t, format, layout, count, n));
      }
    }
  }
}

// FP8 and GPTQ are the chain over the float32 numbers that they stand for: for any number of rows, on
// any instruction set, with any number of threads.
TEST(FloatProduct, CodesGiveTheBitsOfTheirNumbers) {
  const int64_t n = 300, cols = 608, most = 101;  // more than one stretch of inputs and of panels
  const auto x = random_floats(most * cols, 2), b = random_floats(n, 3);
  Weight bias{const_cast<float*>(b.data()), nullptr, 1, n, DType::kF32, Layout::kPlain};
  testing::for_each_coded(n, cols, [&](const testing::Coded& coded) {
    testing::Parameter reference(coded.values, n, cols, Layout::kPanels);
    Bench one(1, false);
    const auto expected =
        Bench::copy(linear(one.ctx, one.leaf(x, most, cols), reference.weight(), &bias));
    for (const Kernels* t : available_kernels()) {
      const WithKernels scope(*t);
      for (int64_t rows : {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{49}, most}) {
        Bench bench(rows == 49 ? 3 : 2, false);
        const Tensor some{const_cast<float*>(x.data()) + (most - rows) * cols, rows, cols, 0};
        expect_same_bits({expected.data() + (most - rows) * n, at(rows * n)},
                         Bench::copy(linear(bench.ctx, some, coded.weight, &bias)),
                         coded.name + " " + t->isa + " " + std::to_string(rows));
      }
    }
  });
}

// Several projections of one input, of unlike types, at once or one by one.
TEST(Linears, SameBitsAsOneByOne) {
  const int64_t cols = 512, count = 70;
  const auto x = random_floats(count * cols, 1), b = random_floats(40, 2);
  Weight bias{const_cast<float*>(b.data()), nullptr, 1, 40, DType::kF32, Layout::kPlain};
  const Format &q8 = format_of(DType::kQ8_0), &f32 = format_of(DType::kF32),
               &f16 = format_of(DType::kF16);
  const auto encoded = [&](const Format& format, int64_t n) {
    const auto values = random_floats(n * cols, 3);
    std::vector<std::byte> rows(*bytes_for(format.dtype, n * cols));
    format.encode(values.data(), nullptr, rows.data(), n * cols);
    return rows;
  };
  Stored a(q8, encoded(q8, 40), 40, cols, Layout::kPanels),
      c(f32, encoded(f32, 100), 100, cols, Layout::kPanels),
      d(f16, encoded(f16, 17), 17, cols, Layout::kRows),
      e(q8, encoded(q8, 33), 33, cols, Layout::kRows);
  for (int64_t rows : {int64_t{1}, count}) {
    Bench bench(3, false);
    const Tensor in{const_cast<float*>(x.data()), rows, cols, 0};
    const auto [ya, yc, yd, ye] =
        linears(bench.ctx, in, {{a.weight, &bias}, {c.weight}, {d.weight}, {e.weight}});
    expect_same_bits(Bench::copy(linear(bench.ctx, in, a.weight, &bias)), Bench::copy(ya), "q8_0");
    expect_same_bits(Bench::copy(linear(bench.ctx, in, c.weight)), Bench::copy(yc), "f32");
    expect_same_bits(Bench::copy(linear(bench.ctx, in, d.weight)), Bench::copy(yd), "f16 rows");
    expect_same_bits(Bench::copy(linear(bench.ctx, in, e.weight)), Bench::copy(ye), "q8_0 rows");
  }
}

TEST(Linears, SameGradientsAsOneByOne) {
  const int64_t in = 40, count = 60;
  const auto x0 = random_floats(count * in, 1), d = random_floats(count * 24, 2);
  std::vector<std::vector<float>> results[2];
  for (bool together : {false, true}) {
    testing::Parameter a(random_floats(24 * in, 3), 24, in, Layout::kPanels),
        b(random_floats(24 * in, 4), 24, in, Layout::kPanels),
        bias(random_floats(24, 5), 1, 24, Layout::kPlain);
    const Weight bias_weight = bias.weight();
    Bench bench(2);
    const Tensor x = bench.leaf(x0, count, in);
    std::array<Tensor, 2> y;
    if (together) {
      y = linears(bench.ctx, x, {{a.weight(), &bias_weight}, {b.weight()}});
    } else {
      y[0] = linear(bench.ctx, x, a.weight(), &bias_weight);
      y[1] = linear(bench.ctx, x, b.weight());
    }
    const Tensor sum = add(bench.ctx, y[0], y[1]);
    results[together] = bench.backward(sum, d);
    for (const auto* p : {&a, &b, &bias}) results[together].push_back(p->grad);
  }
  for (size_t i = 0; i < results[0].size(); ++i) {
    expect_same_bits(results[0][i], results[1][i], "gradient " + std::to_string(i));
  }
}

TEST(Linears, TheObserverSeesEveryInput) {
  struct Seen : LinearObserver {
    void see(const Weight& w, const Tensor& x) override { seen.emplace_back(w.data, x.data[0]); }
    std::vector<std::pair<const void*, float>> seen;
  } observer;
  testing::Parameter a(random_floats(8, 1), 2, 4, Layout::kPanels),
      b(random_floats(8, 2), 2, 4, Layout::kPanels);
  Bench bench(1, false);
  bench.ctx.observer = &observer;
  const Tensor x = bench.leaf({3, 1, 2, 3}, 1, 4);
  linears(bench.ctx, x, {{a.weight()}, {b.weight()}});
  ASSERT_EQ(observer.seen.size(), 2u);
  EXPECT_EQ(observer.seen[0].first, a.data.data());
  EXPECT_EQ(observer.seen[1].first, b.data.data());
  EXPECT_EQ(observer.seen[1].second, 3.0f);
}

}  // namespace
}  // namespace ponder
