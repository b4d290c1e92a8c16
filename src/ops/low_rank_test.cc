#include "ops/low_rank.h"

#include <gtest/gtest.h>

#include <string>

#include "ops/ops.h"
#include "ops/test_check.h"
#include "ops/test_step.h"

namespace ponder {
namespace {

using testing::at;
using testing::Bench;
using testing::Doubles;
using testing::expect_near;
using testing::expect_same_bits;
using testing::Parameter;
using testing::random_floats;

Doubles doubles(const std::vector<float>& x) { return {x.begin(), x.end()}; }

// A matrix (outputs, inputs) with factors, and all of them as rows.
struct Factored {
  Factored(int64_t outputs, int64_t inputs, int64_t rank_in, float scale, uint64_t seed = 1)
      : rank(rank_in),
        base_rows(random_floats(outputs * inputs, seed)),
        a_rows(random_floats(rank * inputs, seed + 1)),
        b_rows(random_floats(outputs * rank, seed + 2)),
        base(base_rows, outputs, inputs, Layout::kPanels),
        w(base_rows, outputs, inputs, Layout::kPanels),
        a(a_rows, rank, inputs, Layout::kPanels),
        b(b_rows, outputs, rank, Layout::kPanels) {
    table.factors[w.data.data()] = {a.weight(), b.weight(), scale};
  }
  LowRank factors() const { return *table.find({const_cast<float*>(w.data.data())}); }
  // Trained through its factors alone.
  Weight weight() {
    Weight out = w.weight();
    out.grad = nullptr;
    return out;
  }
  void merge(Ctx& cx) { merge_low_rank(cx, factors(), base.data.data(), weight()); }

  int64_t rank;
  std::vector<float> base_rows, a_rows, b_rows;
  Parameter base, w, a, b;
  LowRankTable table;
};

// base + scale B A in double.
Doubles merged(const Factored& f, const Doubles& a, const Doubles& b) {
  Doubles out = doubles(f.base_rows);
  const auto scale = static_cast<double>(f.factors().scale);
  for (int64_t o = 0; o < f.w.rows; ++o) {
    for (int64_t i = 0; i < f.w.cols; ++i) {
      for (int64_t r = 0; r < f.rank; ++r) {
        out[at(o * f.w.cols + i)] += scale * b[at(o * f.rank + r)] * a[at(r * f.w.cols + i)];
      }
    }
  }
  return out;
}

struct LowRankShapes : ::testing::TestWithParam<std::array<int64_t, 3>> {
  Factored factored() const {
    const auto [outputs, inputs, rank] = GetParam();
    return Factored(outputs, inputs, rank, 0.5f);
  }
};
INSTANTIATE_TEST_SUITE_P(, LowRankShapes,
                         ::testing::Values(std::array<int64_t, 3>{40, 24, 8},
                                           std::array<int64_t, 3>{17, 33, 1},
                                           std::array<int64_t, 3>{16, 70, 19}));

TEST_P(LowRankShapes, MergesToBasePlusProduct) {
  Bench bench(2, false);
  Factored f = factored();
  f.merge(bench.ctx);
  expect_near(merged(f, doubles(f.a_rows), doubles(f.b_rows)), f.w.rows_of(f.w.data), 32, "W");
  // The padding of panels stays zero, and no product leaves the base.
  std::fill(f.b.data.begin(), f.b.data.end(), 0.0f);
  f.merge(bench.ctx);
  expect_same_bits(f.base.data, f.w.data, "base");
}

TEST_P(LowRankShapes, GradientsAreThoseOfTheProduct) {
  const auto [outputs, inputs, rank] = GetParam();
  Bench bench(2);
  Factored f = factored();
  f.merge(bench.ctx);
  std::fill(f.a.grad.begin(), f.a.grad.end(), 0.25f);  // gradients add to what is there
  std::fill(f.b.grad.begin(), f.b.grad.end(), 0.25f);
  bench.ctx.low_rank = &f.table;
  constexpr int64_t kRows = 13;
  const auto x_values = random_floats(kRows * inputs, 9);
  const auto d_out = random_floats(kRows * outputs, 10);
  const Tensor x = bench.leaf(x_values, kRows, inputs);
  const auto grads = bench.backward(linear(bench.ctx, x, f.weight()), d_out);

  const auto loss = [&](const Doubles& a, const Doubles& b, const Doubles& in) {
    const Doubles w = merged(f, a, b);
    double sum = 0;
    for (int64_t t = 0; t < kRows; ++t) {
      for (int64_t o = 0; o < outputs; ++o) {
        double y = 0;
        for (int64_t i = 0; i < inputs; ++i) y += in[at(t * inputs + i)] * w[at(o * inputs + i)];
        sum += static_cast<double>(d_out[at(t * outputs + o)]) * y;
      }
    }
    return sum;
  };
  // Central differences; the loss is linear in each argument, so they are exact.
  Doubles in[3] = {doubles(f.a_rows), doubles(f.b_rows), doubles(x_values)};
  const std::vector<float> got[3] = {f.a.rows_of(f.a.grad), f.b.rows_of(f.b.grad), grads[0]};
  for (const int n : {0, 1, 2}) {
    Doubles exact;
    for (double& value : in[n]) {
      const double before = value;
      value = before + 0.5;
      const double up = loss(in[0], in[1], in[2]);
      value = before - 0.5;
      exact.push_back(up - loss(in[0], in[1], in[2]) + (n < 2 ? 0.25 : 0.0));
      value = before;
    }
    expect_near(exact, got[n], 256, "gradient " + std::to_string(n));
  }
}

// What a linear layer's gradient depends on: neither threads nor where the batch was cut.
TEST(LowRank, GradientsHaveTheSameBitsHoweverTheWorkIsCut) {
  const auto gradients = [](int threads, bool halves) {
    Bench bench(threads);
    Factored f(40, 24, 8, 2.0f);
    f.merge(bench.ctx);
    bench.ctx.low_rank = &f.table;
    const auto x = random_floats(20 * 24, 3), d = random_floats(20 * 40, 4);
    for (const int64_t begin : halves ? std::vector<int64_t>{0, 7} : std::vector<int64_t>{0}) {
      const int64_t end = halves && begin == 0 ? 7 : 20;
      const std::vector<float> part(x.begin() + begin * 24, x.begin() + end * 24);
      const std::vector<float> d_part(d.begin() + begin * 40, d.begin() + end * 40);
      const Tensor in = bench.leaf(part, end - begin, 24);
      bench.backward(linear(bench.ctx, in, f.weight()), d_part);
    }
    std::vector<float> out = f.a.grad;
    out.insert(out.end(), f.b.grad.begin(), f.b.grad.end());
    out.insert(out.end(), f.w.data.begin(), f.w.data.end());
    return out;
  };
  const std::vector<float> one = gradients(1, false);
  for (const int threads : {1, 2, 3}) {
    expect_same_bits(one, gradients(threads, true), "halves");
    expect_same_bits(one, gradients(threads, false), "threads");
  }
}

TEST(LowRank, TheOutputLayerSendsItsGradientToItsFactors) {
  Factored f(50, 24, 4, 0.5f);
  Bench bench(2), dense(2);
  f.merge(bench.ctx);
  bench.ctx.low_rank = &f.table;
  const auto hidden = random_floats(11 * 24, 5);
  const auto d_out = random_floats(11 * 4, 6);
  std::vector<int32_t> targets;
  for (int32_t i = 0; i < 11; ++i) targets.push_back(i * 4);
  const auto run = [&](Bench& b, const Weight& head) {
    const Tensor x = b.leaf(hidden, 11, 24);
    b.backward(token_logprobs(b.ctx, x, head, targets, 0.7f), d_out);
  };
  run(bench, f.weight());
  run(dense, f.w.weight());
  const std::vector<float> d_w = f.w.rows_of(f.w.grad);
  Doubles d_a(at(4 * 24)), d_b(at(50 * 4));
  for (int64_t o = 0; o < 50; ++o) {
    for (int64_t i = 0; i < 24; ++i) {
      for (int64_t r = 0; r < 4; ++r) {
        const double d = 0.5 * static_cast<double>(d_w[at(o * 24 + i)]);
        d_a[at(r * 24 + i)] += d * static_cast<double>(f.b_rows[at(o * 4 + r)]);
        d_b[at(o * 4 + r)] += d * static_cast<double>(f.a_rows[at(r * 24 + i)]);
      }
    }
  }
  expect_near(d_a, f.a.rows_of(f.a.grad), 256, "A");
  expect_near(d_b, f.b.rows_of(f.b.grad), 256, "B");
}

}  // namespace
}  // namespace ponder
