// Every op against a plain double implementation, its gradient too (test_check.h). Attention, heads and
// experts have files of their own.
#include "ops/ops.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "ops/test_check.h"

namespace ponder {
namespace {

using testing::at;
using testing::Bench;
using testing::Case;
using testing::check;
using testing::Doubles;
using testing::expect_near;
using testing::Parameter;
using testing::random_floats;

// The oracles.

Doubles matmul_oracle(const Doubles& x, const Doubles& w, int64_t rows, int64_t in, int64_t out) {
  Doubles y(at(rows * out), 0.0);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < out; ++j) {
      for (int64_t i = 0; i < in; ++i) y[at(r * out + j)] += x[at(r * in + i)] * w[at(j * in + i)];
    }
  }
  return y;
}

Doubles rms_norm_oracle(const Doubles& x, const Doubles& w, double eps) {
  Doubles y(x.size());
  for (size_t start = 0; start < x.size(); start += w.size()) {
    double sum = 0.0;
    for (size_t i = 0; i < w.size(); ++i) sum += x[start + i] * x[start + i];
    const double scale = 1.0 / std::sqrt(sum / static_cast<double>(w.size()) + eps);
    for (size_t i = 0; i < w.size(); ++i) y[start + i] = x[start + i] * scale * w[i];
  }
  return y;
}

Doubles swiglu_oracle(const Doubles& gate, const Doubles& up) {
  Doubles y(gate.size());
  for (size_t i = 0; i < y.size(); ++i) y[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
  return y;
}

Doubles logprobs_oracle(const Doubles& hidden, const Doubles& head,
                        std::span<const int32_t> targets, int64_t dim, double temperature) {
  const auto rows = static_cast<int64_t>(targets.size());
  const auto vocab = static_cast<int64_t>(head.size()) / dim;
  Doubles logits = matmul_oracle(hidden, head, rows, dim, vocab), y;
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0.0, mean = 0.0, entropy = 0.0;
    for (int64_t j = 0; j < vocab; ++j) sum += std::exp(logits[at(r * vocab + j)] / temperature);
    const double lse = std::log(sum);
    for (int64_t j = 0; j < vocab; ++j) {
      const double lp = logits[at(r * vocab + j)] / temperature - lse;
      mean += lp / static_cast<double>(vocab);
      entropy -= std::exp(lp) * lp;
    }
    const double target = logits[at(r * vocab + targets[at(r)])] / temperature - lse;
    y.insert(y.end(), {target, lse, mean, entropy});
  }
  return y;
}

// The cases.

TEST(Ops, Embedding) {
  for (int64_t dim : {1, 24, 40}) {
    const std::vector<int32_t> ids = {3, 0, 17, 3, 18, 3, 16};
    check({[&](Ctx& cx, const auto&, const auto& w) { return embedding(cx, ids, w[0]); },
           [&](const auto& in) {
             Doubles y;
             for (int32_t id : ids) {
               for (int64_t j = 0; j < dim; ++j) y.push_back(in[0][at(id * dim + j)]);
             }
             return y;
           },
           {},
           {{19, dim, Layout::kPanels}}});
  }
}

TEST(Ops, Linear) {
  for (const auto& [rows, in, out] : {std::array<int64_t, 3>{1, 1, 1},
                                      {2, 5, 17},
                                      {7, 24, 16},
                                      {13, 40, 5},
                                      {17, 16, 33},
                                      {50, 3, 4}}) {
    for (bool biased : {false, true}) {
      Case c{[&](Ctx& cx, const auto& x, const auto& w) {
               return linear(cx, x[0], w[0], biased ? &w[1] : nullptr);
             },
             [&](const auto& v) {
               Doubles y = matmul_oracle(v[0], v[1], rows, in, out);
               if (biased) {
                 for (size_t i = 0; i < y.size(); ++i) y[i] += v[2][i % at(out)];
               }
               return y;
             },
             {{rows, in}},
             {{out, in, Layout::kPanels}}};
      if (biased) c.weights.push_back({1, out, Layout::kPlain});
      check(c);
    }
  }
}

TEST(Ops, RmsNorm) {
  for (const auto& [cols, groups] :
       {std::pair<int64_t, int64_t>{1, 1}, {24, 1}, {48, 1}, {8, 3}, {5, 4}, {16, 2}}) {
    check({[](Ctx& cx, const auto& x, const auto& w) { return rms_norm(cx, x[0], w[0], 0.02f); },
           [](const auto& in) { return rms_norm_oracle(in[0], in[1], static_cast<double>(0.02f)); },
           {{7, cols * groups}},
           {{1, cols, Layout::kPlain}}});
  }
}

TEST(Ops, Rope) {
  for (const auto& [dim, heads] : {std::pair<int64_t, int64_t>{2, 1}, {8, 3}, {24, 2}, {40, 1}}) {
    const std::vector<int32_t> positions = {0, 4, 2, 2, 1};
    const auto table = random_floats(5 * dim, 7);  // not cosines and sines: any scaled table
    check({[&](Ctx& cx, const auto& x, const auto&) {
             return rope(cx, x[0], positions, table.data(), dim);
           },
           [&](const auto& in) {
             Doubles y(in[0].size());
             const int64_t half = dim / 2;
             for (size_t start = 0; start < y.size(); start += at(dim)) {
               const int32_t position = positions[start / at(heads * dim)];
               for (int64_t i = 0; i < half; ++i) {
                 const auto c = static_cast<double>(table[at(position * dim + i)]);
                 const auto s = static_cast<double>(table[at(position * dim + half + i)]);
                 const double a = in[0][start + at(i)], b = in[0][start + at(half + i)];
                 y[start + at(i)] = a * c - b * s;
                 y[start + at(half + i)] = a * s + b * c;
               }
             }
             return y;
           },
           {{5, heads * dim}},
           {}});
  }
}

TEST(Ops, Swiglu) {
  check({[](Ctx& cx, const auto& x, const auto&) { return swiglu(cx, x[0], x[1]); },
         [](const auto& in) { return swiglu_oracle(in[0], in[1]); },
         {{5, 23}, {5, 23}},
         {}});
}

TEST(Ops, SwigluOfOneTensorTwice) {
  check({[](Ctx& cx, const auto& x, const auto&) { return swiglu(cx, x[0], x[0]); },
         [](const auto& in) { return swiglu_oracle(in[0], in[0]); },
         {{5, 23}},
         {}});
}

TEST(Ops, Add) {
  check({[](Ctx& cx, const auto& x, const auto&) { return add(cx, x[0], x[1]); },
         [](const auto& in) {
           Doubles y = in[0];
           for (size_t i = 0; i < y.size(); ++i) y[i] += in[1][i];
           return y;
         },
         {{3, 19}, {3, 19}},
         {}});
}

// Every way that two gradients of one tensor meet: taken over, added to, and both in one op.
TEST(Ops, AddSharesItsInputs) {
  check({[](Ctx& cx, const auto& x, const auto&) {
           const Tensor twice = add(cx, x[0], x[0]);   // 2 a
           const Tensor left = add(cx, twice, x[1]);   // 2 a + b
           const Tensor right = add(cx, x[1], twice);  // b + 2 a
           const Tensor product = swiglu(cx, left, x[0]);
           return add(cx, add(cx, product, right), left);
         },
         [](const auto& in) {
           Doubles left(in[0].size());
           for (size_t i = 0; i < left.size(); ++i) left[i] = 2 * in[0][i] + in[1][i];
           Doubles y = swiglu_oracle(left, in[0]);
           for (size_t i = 0; i < y.size(); ++i) y[i] += 2 * left[i];
           return y;
         },
         {{3, 19}, {3, 19}},
         {}});
}

TEST(Ops, SelectRows) {
  const std::vector<int32_t> rows = {4, 0, 4, 2};  // one twice, some never
  check({[&](Ctx& cx, const auto& x, const auto&) { return select_rows(cx, x[0], rows); },
         [&](const auto& in) {
           Doubles y;
           for (int32_t r : rows) y.insert(y.end(), &in[0][at(r * 21)], &in[0][at(r * 21)] + 21);
           return y;
         },
         {{5, 21}},
         {}});
}

// A residual block with every tensor used more than once; linear after linear, a norm shared.
TEST(Ops, Composition) {
  const std::vector<int32_t> rows = {1, 3, 3};
  check({[&](Ctx& cx, const auto& x, const auto& w) {
           const Tensor norm = rms_norm(cx, x[0], w[0], 0.01f);
           const Tensor gate = linear(cx, norm, w[1]), up = linear(cx, norm, w[1], &w[2]);
           const Tensor h = add(cx, x[0], swiglu(cx, gate, up));
           const Tensor again = rms_norm(cx, h, w[0], 0.01f);
           return add(cx, select_rows(cx, again, rows), select_rows(cx, h, rows));
         },
         [&](const auto& in) {
           const Doubles norm = rms_norm_oracle(in[0], in[1], static_cast<double>(0.01f));
           const Doubles gate = matmul_oracle(norm, in[2], 4, 9, 9);
           Doubles up = gate;
           for (size_t i = 0; i < up.size(); ++i) up[i] += in[3][i % 9];
           Doubles h = swiglu_oracle(gate, up);
           for (size_t i = 0; i < h.size(); ++i) h[i] += in[0][i];
           const Doubles again = rms_norm_oracle(h, in[1], static_cast<double>(0.01f));
           Doubles y;
           for (int32_t r : rows) {
             for (int64_t j = 0; j < 9; ++j) y.push_back(again[at(r * 9 + j)] + h[at(r * 9 + j)]);
           }
           return y;
         },
         {{4, 9}},
         {{1, 9, Layout::kPlain}, {9, 9, Layout::kPanels}, {1, 9, Layout::kPlain}},
         256});
}

// Gradients that arrive at an op's input when another user of that input has been there.
TEST(Ops, RopeAddsToAGradient) {
  const std::vector<int32_t> positions = {2, 0, 1};
  const auto table = random_floats(3 * 8, 7);
  check({[&](Ctx& cx, const auto& x, const auto&) {
           return add(cx, rope(cx, x[0], positions, table.data(), 8), x[0]);
         },
         [&](const auto& in) {
           Doubles y = in[0];
           for (size_t i = 0; i < y.size(); ++i) {
             const size_t row = i / 16, lane = i % 8, pair = (lane + 4) % 8;
             const size_t angle = static_cast<size_t>(positions[row]) * 8 + i % 4;
             const auto c = static_cast<double>(table[angle]);
             const auto s = static_cast<double>(table[angle + 4]);
             y[i] += in[0][i] * c + in[0][i - lane + pair] * (lane < 4 ? -s : s);
           }
           return y;
         },
         {{3, 16}},
         {}});
}

TEST(Ops, TokenLogprobsAddToAGradient) {
  const std::vector<int32_t> targets = {4, 0, 6};
  check({[&](Ctx& cx, const auto& x, const auto& w) {
           return add(cx, token_logprobs(cx, x[0], w[0], targets, 0.8f), x[0]);
         },
         [&](const auto& in) {
           Doubles y = logprobs_oracle(in[0], in[1], targets, 4, static_cast<double>(0.8f));
           for (size_t i = 0; i < y.size(); ++i) y[i] += in[0][i];
           return y;
         },
         {{3, 4}},
         {{7, 4, Layout::kPanels}},
         64,
         {1, 1, 1, 0}});
}

TEST(Ops, TokenLogprobs) {
  for (float temperature : {1.0f, 0.6f, 1.8f}) {
    for (const auto& [dim, vocab] : {std::pair<int64_t, int64_t>{5, 3}, {8, 16}, {11, 37}}) {
      std::vector<int32_t> targets = {0, 2, 1, 1, static_cast<int32_t>(vocab - 1)};
      // The entropy's gradient is not propagated: its seed is 0 in the loss.
      check({[&](Ctx& cx, const auto& x, const auto& w) {
               return token_logprobs(cx, x[0], w[0], targets, temperature);
             },
             [&](const auto& in) {
               return logprobs_oracle(in[0], in[1], targets, dim, static_cast<double>(temperature));
             },
             {{5, dim}},
             {{vocab, dim, Layout::kPanels}},
             64,
             {1, 1, 1, 0}});
    }
  }
}

TEST(Ops, TokenLogprobsIgnoreTheGradientOfTheEntropy) {
  const std::vector<int32_t> targets = {2, 0};
  std::vector<std::vector<float>> got;
  for (float entropy : {0.0f, 1e30f}) {
    Bench bench(1);
    Parameter head(random_floats(7 * 5, 1), 7, 5, Layout::kPanels);
    const Tensor x = bench.leaf(random_floats(2 * 5, 2), 2, 5);
    const Tensor out = token_logprobs(bench.ctx, x, head.weight(), targets, 0.8f);
    got.push_back(bench.backward(out, {1, 2, 3, entropy, -1, 0.5f, 0.25f, entropy})[0]);
    got.push_back(head.grad);
  }
  testing::expect_same_bits(got[0], got[2], "hidden");
  testing::expect_same_bits(got[1], got[3], "head");
}

// More rows than logits are kept at a time (512 for a small vocabulary).
TEST(Ops, TokenLogprobsInSeveralChunks) {
  constexpr int64_t kTokens = 1100, kDim = 6, kVocab = 19;
  Bench bench(2);
  const auto h = random_floats(kTokens * kDim, 1), w = random_floats(kVocab * kDim, 2);
  std::vector<int32_t> targets;
  for (int64_t i = 0; i < kTokens; ++i) targets.push_back(static_cast<int32_t>(i * 7 % kVocab));
  Parameter head(w, kVocab, kDim, Layout::kPanels);
  const Tensor x = bench.leaf(h, kTokens, kDim);
  const Tensor out = token_logprobs(bench.ctx, x, head.weight(), targets, 0.7f);
  const Doubles hd(h.begin(), h.end()), wd(w.begin(), w.end());
  expect_near(logprobs_oracle(hd, wd, targets, kDim, static_cast<double>(0.7f)), bench.copy(out),
              64, "value");
  std::vector<float> d_out(kTokens * 4, 0.0f);
  for (size_t i = 0; i < d_out.size(); i += 4) d_out[i] = 1.0f;
  const auto grads = bench.backward(out, d_out);
  const Doubles logits = matmul_oracle(hd, wd, kTokens, kDim, kVocab);
  Doubles dh(h.size(), 0.0), dw(w.size(), 0.0);
  for (int64_t r = 0; r < kTokens; ++r) {
    double sum = 0.0;
    for (int64_t j = 0; j < kVocab; ++j)
      sum += std::exp(logits[at(r * kVocab + j)] / static_cast<double>(0.7f));
    for (int64_t j = 0; j < kVocab; ++j) {
      const double p = std::exp(logits[at(r * kVocab + j)] / static_cast<double>(0.7f)) / sum;
      const double d = ((j == targets[at(r)] ? 1.0 : 0.0) - p) / static_cast<double>(0.7f);
      for (int64_t i = 0; i < kDim; ++i) {
        dh[at(r * kDim + i)] += d * wd[at(j * kDim + i)];
        dw[at(j * kDim + i)] += d * hd[at(r * kDim + i)];
      }
    }
  }
  expect_near(dh, grads[0], 64, "gradient of hidden");
  expect_near(dw, head.rows_of(head.grad), 512, "gradient of the head");
}

}  // namespace
}  // namespace ponder
