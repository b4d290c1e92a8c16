// What the tests of ops against plain double implementations share. Values are compared directly,
// gradients with central differences of the oracle. Both sides get the same float32 inputs, so what is
// left is float32 rounding: tolerances are small multiples of 2^-24 times the largest value.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "ops/test_step.h"

namespace ponder::testing {

inline size_t at(int64_t i) { return static_cast<size_t>(i); }

using Doubles = std::vector<double>;
using Oracle = std::function<Doubles(const std::vector<Doubles>&)>;
using Op = std::function<Tensor(Ctx&, const std::vector<Tensor>&, const std::vector<Weight>&)>;

struct Shape {
  int64_t rows, cols;
};
struct WeightShape {
  int64_t rows, cols;
  Layout layout;
};

struct Case {
  Op op;
  Oracle oracle;  // tensors, then weights
  std::vector<Shape> tensors;
  std::vector<WeightShape> weights;
  double tolerance = 64;        // in units of 2^-24 of the largest value
  std::vector<double> seeds{};  // loss = sum over outputs of seed * output; empty: random
};

inline double largest(const Doubles& v) {
  double out = 1.0;
  for (double x : v) out = std::max(out, std::fabs(x));
  return out;
}

inline void expect_near(const Doubles& expected, const std::vector<float>& got, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  const double bound = tolerance * 0x1p-24 * largest(expected);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(got[i]), expected[i], bound) << what << ", element " << i;
  }
}

inline void check(const Case& c) {
  Bench bench(2);
  std::vector<Tensor> tensors;
  std::vector<Weight> weights;
  std::vector<Doubles> inputs;
  std::vector<Parameter> parameters;
  uint64_t seed = 100;
  for (const Shape& s : c.tensors) {
    const auto values = random_floats(s.rows * s.cols, ++seed);
    inputs.emplace_back(values.begin(), values.end());
    tensors.push_back(bench.leaf(values, s.rows, s.cols));
  }
  for (const WeightShape& s : c.weights) {
    // Norm weights away from one, biases away from zero.
    const auto values = random_floats(s.rows * s.cols, ++seed, 0.3f, 1.4f);
    inputs.emplace_back(values.begin(), values.end());
    parameters.emplace_back(values, s.rows, s.cols, s.layout);
  }
  for (Parameter& p : parameters) {
    std::fill(p.grad.begin(), p.grad.end(), 0.25f);  // gradients add to what is there
    weights.push_back(p.weight());
  }

  const Tensor out = c.op(bench.ctx, tensors, weights);
  const Doubles expected = c.oracle(inputs);
  expect_near(expected, bench.copy(out), c.tolerance, "value");

  std::vector<float> d_out = random_floats(out.size(), 99);
  if (!c.seeds.empty()) {
    for (size_t i = 0; i < d_out.size(); ++i) {
      d_out[i] = static_cast<float>(c.seeds[i % c.seeds.size()]) * d_out[i];
    }
  }
  const auto grads = bench.backward(out, d_out);
  const auto loss = [&](const std::vector<Doubles>& in) {
    const Doubles y = c.oracle(in);
    double sum = 0.0;
    for (size_t i = 0; i < y.size(); ++i) sum += static_cast<double>(d_out[i]) * y[i];
    return sum;
  };
  constexpr double kStep = 1e-5;
  for (size_t n = 0; n < inputs.size(); ++n) {
    Doubles exact;
    for (double& x : inputs[n]) {
      const double before = x;
      x = before + kStep;
      const double up = loss(inputs);
      x = before - kStep;
      const double down = loss(inputs);
      x = before;
      exact.push_back((up - down) / (2 * kStep));
    }
    if (n < tensors.size()) {
      expect_near(exact, grads[n], 2 * c.tolerance, "gradient of tensor " + std::to_string(n));
    } else {
      const Parameter& p = parameters[n - tensors.size()];
      for (double& g : exact) g += 0.25;
      expect_near(exact, p.rows_of(p.grad), 2 * c.tolerance,
                  "gradient of weight " + std::to_string(n - tensors.size()));
    }
  }
}

}  // namespace ponder::testing
