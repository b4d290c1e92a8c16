// A row's bits never depend on its company: threads, instruction set, tape, batch, chunks, pages.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "ops/ops.h"
#include "ops/panels.h"
#include "ops/test_step.h"
#include "quant/format.h"

namespace ponder {
namespace {

using testing::Bench;
using testing::expect_same_bits;
using testing::Parameter;
using testing::random_floats;
using testing::WithKernels;

size_t at(int64_t i) { return static_cast<size_t>(i); }

// A one-layer model with every op in it, and one training step of it.
struct TinyModel {
  static constexpr int64_t kVocab = 83, kDim = 40, kHeads = 4, kKvHeads = 2, kHead = 8, kFfn = 72;

  Parameter embed = make(1, kVocab, kDim), norm1 = vector(2, kDim), q = make(3, kHeads*kHead, kDim),
            k = make(4, kKvHeads*kHead, kDim), v = make(5, kKvHeads*kHead, kDim),
            k_bias = vector(6, kKvHeads*kHead), q_norm = vector(7, kHead),
            o = make(8, kDim, kHeads*kHead), norm2 = vector(9, kDim), gate = make(10, kFfn, kDim),
            up = make(11, kFfn, kDim), down = make(12, kDim, kFfn), head = make(13, kVocab, kDim);
  std::vector<float> table = random_floats(500 * kHead, 14);

  static Parameter make(uint64_t seed, int64_t rows, int64_t cols) {
    return {random_floats(rows * cols, seed, -0.5f, 0.5f), rows, cols, Layout::kPanels};
  }
  static Parameter vector(uint64_t seed, int64_t cols) {
    return {random_floats(cols, seed, 0.3f, 1.4f), 1, cols, Layout::kPlain};
  }

  // A batch; its spans must outlive the backward pass.
  struct Batch {
    std::vector<int32_t> ids, positions, rows, targets;
    std::vector<Segment> segments;
  };
  static int32_t token(int64_t i) { return static_cast<int32_t>((i * i * 7 + i * 3) % kVocab); }
  // Adds a sequence whose tokens are numbered from `first`, seeing `prefix` rows from prefix_row.
  static void append(Batch& b, int64_t first, int64_t rows, int64_t prefix = 0,
                     int64_t prefix_row = -1) {
    b.segments.push_back({.row = static_cast<int64_t>(b.ids.size()),
                          .rows = rows,
                          .position = prefix,
                          .prefix_row = prefix_row});
    for (int64_t i = 0; i < rows; ++i) {
      b.rows.push_back(static_cast<int32_t>(b.ids.size()));
      b.ids.push_back(token(first + prefix + i));
      b.positions.push_back(static_cast<int32_t>(prefix + i));
      b.targets.push_back(token(first + prefix + i + 1));
    }
  }

  // -> (rows, 4) log-probabilities
  Tensor forward(Ctx& cx, const Batch& b) {
    const Weight bias = k_bias.weight();
    Tensor x = embedding(cx, b.ids, embed.weight());
    const Tensor n1 = rms_norm(cx, x, norm1.weight(), 1e-5f);
    Tensor qt = rms_norm(cx, linear(cx, n1, q.weight()), q_norm.weight(), 1e-5f);
    qt = rope(cx, qt, b.positions, table.data(), kHead);
    const Tensor kt = rope(cx, linear(cx, n1, k.weight(), &bias), b.positions, table.data(), kHead);
    const Tensor vt = linear(cx, n1, v.weight());
    const Tensor a =
        attention(cx, qt, kt, vt, {kHeads, kKvHeads, kHead, 0.35f}, b.segments, nullptr);
    x = add(cx, x, linear(cx, a, o.weight()));
    const Tensor n2 = rms_norm(cx, x, norm2.weight(), 1e-5f);
    const Tensor h = swiglu(cx, linear(cx, n2, gate.weight()), linear(cx, n2, up.weight()));
    x = add(cx, x, linear(cx, h, down.weight()));
    return token_logprobs(cx, select_rows(cx, x, b.rows), head.weight(), b.targets, 0.9f);
  }

  std::vector<Parameter*> parameters() {
    return {&embed, &norm1, &q, &k, &v, &k_bias, &q_norm, &o, &norm2, &gate, &up, &down, &head};
  }
};

TinyModel::Batch mixed_batch() {
  TinyModel::Batch b;
  TinyModel::append(b, 0, 70);
  TinyModel::append(b, 0, 33, 70, 0);
  TinyModel::append(b, 500, 1);
  TinyModel::append(b, 900, 21);
  TinyModel::append(b, 900, 4, 17, 104);
  TinyModel::append(b, 900, 5, 21, 104);
  TinyModel::append(b, 300, 450);  // enough rows for several ranges of every op
  return b;
}

// Everything that one training step computes.
std::vector<std::vector<float>> train_step(int threads) {
  TinyModel model;
  const TinyModel::Batch batch = mixed_batch();
  Bench bench(threads);
  const Tensor out = model.forward(bench.ctx, batch);
  std::vector<std::vector<float>> results = {Bench::copy(out)};
  bench.backward(out, random_floats(out.size(), 77));
  for (const Parameter* p : model.parameters()) results.push_back(p->grad);
  return results;
}

void expect_same_step(const std::vector<std::vector<float>>& a,
                      const std::vector<std::vector<float>>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    expect_same_bits(a[i], b[i], what + ", result " + std::to_string(i));
  }
}

TEST(Bits, AnyThreadCountTrainsAlike) {
  const auto expected = train_step(1);
  for (const auto& result : expected) {  // nothing is left zero or went astray
    double sum = 0.0;
    for (float x : result) sum += std::fabs(static_cast<double>(x));
    EXPECT_GT(sum, 0.0);
    EXPECT_TRUE(std::isfinite(sum));
  }
  for (int threads : {2, 3, 5}) {
    expect_same_step(expected, train_step(threads), std::to_string(threads) + " threads");
  }
}

TEST(Bits, AnyInstructionSetTrainsAlike) {
  std::vector<std::vector<float>> expected;
  {
    const WithKernels scope(*available_kernels().back());
    expected = train_step(2);
  }
  for (const Kernels* t : available_kernels()) {
    const WithKernels scope(*t);
    expect_same_step(expected, train_step(2), t->isa);
  }
}

TEST(Bits, TheTapeChangesNothing) {
  TinyModel model;
  const TinyModel::Batch batch = mixed_batch();
  Bench taped(2, true), plain(2, false);
  expect_same_bits(Bench::copy(model.forward(taped.ctx, batch)),
                   Bench::copy(model.forward(plain.ctx, batch)), "log-probabilities");
}

TEST(Bits, ASequenceAloneOrInABatchOrAfterASharedPrefix) {
  TinyModel model;
  Bench bench(2, false);
  const auto batch = Bench::copy(model.forward(bench.ctx, mixed_batch()));
  const auto rows = [&](int64_t begin, int64_t count) {
    return std::vector<float>(batch.begin() + 4 * begin, batch.begin() + 4 * (begin + count));
  };
  const auto alone = [&](int64_t first, int64_t count, int64_t skip) {
    TinyModel::Batch b;
    TinyModel::append(b, first, count);
    const auto all = Bench::copy(model.forward(bench.ctx, b));
    return std::vector<float>(all.begin() + 4 * skip, all.end());
  };
  expect_same_bits(alone(0, 70, 0), rows(0, 70), "prompt of 70");
  expect_same_bits(alone(0, 103, 70), rows(70, 33), "its answer");
  expect_same_bits(alone(500, 1, 0), rows(103, 1), "one token");
  expect_same_bits(alone(900, 21, 0), rows(104, 21), "prompt of 21");
  expect_same_bits(alone(900, 21, 17), rows(125, 4), "answer from the middle of the prompt");
  expect_same_bits(alone(900, 26, 21), rows(129, 5), "answer");
}

// Steps of many sizes: each cuts the memory of the tape anew.
TEST(Bits, TheTapesMemoryDoesNotGrowWithTheVarietyOfSizes) {
  Bench bench(1);
  for (int64_t step = 0; step < 60; ++step) {
    bench.arena.reset();
    const int64_t rows = 200 + (step * 37) % 60;
    const Tensor x = bench.leaf(std::vector<float>(at(rows * 1024), 1.0f), rows, 1024);
    const Tensor y = add(bench.ctx, x, x);
    bench.backward(y, std::vector<float>(at(rows * 1024), 1.0f));
  }
  EXPECT_LE(bench.tape.reserved_bytes(), size_t{32} << 20);  // a step needs 2 MB
}

TEST(Bits, FrozenWeightsLeaveTheOtherGradientsAlone) {
  TinyModel model;
  const auto frozen = [](Parameter& p) {
    Weight w = p.weight();
    w.grad = nullptr;
    return w;
  };
  const auto x0 = random_floats(9 * 40, 5), d = random_floats(9 * 72, 6);
  std::vector<std::vector<float>> grads;
  for (bool freeze : {false, true}) {
    Bench one(2);
    const Tensor x = one.leaf(x0, 9, 40);
    const Tensor y = linear(
        one.ctx, rms_norm(one.ctx, x, freeze ? frozen(model.norm1) : model.norm1.weight(), 1e-5f),
        freeze ? frozen(model.gate) : model.gate.weight());
    grads.push_back(one.backward(y, d)[0]);
  }
  expect_same_bits(grads[0], grads[1], "gradient of the input");
}

TEST(Bits, LinearRowsAreIndependentForEveryElementType) {
  constexpr int64_t kTokens = 101, kIn = 544, kOut = 83;  // more than one block of steps
  const auto x = random_floats(kTokens * kIn, 1), w = random_floats(kOut * kIn, 2);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    const Format& format = format_of(dtype);
    const auto row_bytes = at(kIn / format.block_values * format.block_bytes);
    std::vector<std::byte> rows(at(kOut) * row_bytes), panels(at(weight_bytes(dtype, kOut, kIn)));
    format.encode(w.data(), nullptr, rows.data(), kOut * kIn);
    rows_to_panels(dtype, rows.data(), 0, kOut, kIn, panels.data());
    const Weight weight{panels.data(), nullptr, kOut, kIn, dtype, Layout::kPanels};
    std::vector<std::byte> back(rows.size());
    panels_to_rows(weight, 0, kOut, back.data());
    EXPECT_EQ(rows, back) << format.name << ": panels and back";
    std::vector<float> decoded(at(kOut * kIn)), row(at(kIn));
    format.decode(rows.data(), decoded.data(), kOut * kIn);
    for (int64_t r : {0, 15, 16, 82}) {
      panel_row(weight, r, row.data());
      expect_same_bits({decoded.data() + r * kIn, at(kIn)}, row, "panel_row");
    }

    Bench bench(3, false);
    const Tensor all = bench.leaf(x, kTokens, kIn);
    const auto expected = Bench::copy(linear(bench.ctx, all, weight));
    for (const Kernels* t : available_kernels()) {
      const WithKernels scope(*t);
      expect_same_bits(expected, Bench::copy(linear(bench.ctx, all, weight)), t->isa);
      for (const auto& [begin, count] :
           {std::pair<int64_t, int64_t>{0, 1}, {100, 1}, {50, 7}, {13, 49}}) {
        const Tensor some{all.row(begin), count, kIn, 0};
        expect_same_bits({expected.data() + begin * kOut, at(count * kOut)},
                         Bench::copy(linear(bench.ctx, some, weight)),
                         std::string(t->isa) + " rows of " + format.name);
      }
    }
    if (dtype == DType::kQ8_0) {  // near the product of the decoded weights
      double worst = 0.0;
      for (int64_t r = 0; r < kTokens; ++r) {
        for (int64_t j = 0; j < kOut; ++j) {
          double sum = 0.0;
          for (int64_t i = 0; i < kIn; ++i) {
            sum += static_cast<double>(x[at(r * kIn + i)]) *
                   static_cast<double>(decoded[at(j * kIn + i)]);
          }
          worst = std::max(worst, std::fabs(sum - static_cast<double>(expected[at(r * kOut + j)])));
        }
      }
      // An activation is off by at most 1 / 254, uniformly; a weight by its own size at most 1:
      // deviation of the sum sqrt(544 / 3) / 254 / sqrt(3) = 0.031, of which seven.
      EXPECT_LT(worst, 0.22);
    } else {  // the chain over the decoded weights
      for (int64_t r : {0, 47, 48, 100}) {
        for (int64_t j = 0; j < kOut; ++j) {
          float sum = 0.0f;
          for (int64_t i = 0; i < kIn; ++i) {
            sum = std::fma(x[at(r * kIn + i)], decoded[at(j * kIn + i)], sum);
          }
          ASSERT_EQ(expected[at(r * kOut + j)], sum) << format.name << " " << r << " " << j;
        }
      }
    }
  }
}

// Front-ends call the table in use: one whose add() counts.
int adds = 0;
TEST(Bits, OpsRunTheForcedTable) {
  static const Kernels& real = *available_kernels().back();
  Kernels counting = real;
  counting.add = [](const float* a, const float* b, float* out, int64_t count) {
    ++adds;
    real.add(a, b, out, count);
  };
  const WithKernels scope(counting);
  Bench bench(1, false);
  const Tensor x = bench.leaf({1, 2, 3}, 1, 3);
  add(bench.ctx, x, x);
  EXPECT_EQ(adds, 1);
}

}  // namespace
}  // namespace ponder
