// The choice of experts and the sum over them, against plain double implementations; edge cases of the
// choice; bits across rows, threads, instruction sets and the tape.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "ops/ops.h"
#include "ops/test_check.h"

namespace ponder {
namespace {

using testing::at;
using testing::Bench;
using testing::check;
using testing::Doubles;
using testing::expect_near;
using testing::expect_same_bits;
using testing::Parameter;
using testing::random_floats;
using testing::WithKernels;

using GroupScore = RouteShape::GroupScore;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

RouteShape v3_shape(int64_t experts, int64_t groups, int64_t groups_used, int64_t used) {
  return {experts, groups, groups_used, used, true, true, 2.5, GroupScore::kTopTwoSum};
}
RouteShape v2_shape(int64_t experts, int64_t groups, int64_t groups_used, int64_t used) {
  return {experts, groups, groups_used, used, false, false, 1.5, GroupScore::kMax};
}

Weight bias_of(std::vector<float>& values) {
  return {values.data(), nullptr, 1, static_cast<int64_t>(values.size())};
}

Doubles scores_oracle(const double* logits, const RouteShape& s) {
  Doubles out;
  double sum = 0.0;
  for (int64_t i = 0; i < s.experts; ++i) {
    out.push_back(s.sigmoid ? 1.0 / (1.0 + std::exp(-logits[i])) : std::exp(logits[i]));
    sum += out.back();
  }
  if (!s.sigmoid) {
    for (double& x : out) x /= sum;
  }
  return out;
}

// The published algorithm, sorting everything.
std::vector<int32_t> choice_oracle(const Doubles& scores, const std::vector<float>& bias,
                                   const RouteShape& s) {
  Doubles choice = scores;
  for (size_t i = 0; i < bias.size(); ++i) choice[i] += static_cast<double>(bias[i]);
  const int64_t size = s.experts / s.groups;
  std::vector<std::pair<double, int64_t>> groups;
  for (int64_t g = 0; g < s.groups; ++g) {
    Doubles in(choice.begin() + g * size, choice.begin() + (g + 1) * size);
    std::sort(in.rbegin(), in.rend());
    const bool two = s.group_score == GroupScore::kTopTwoSum && size > 1;
    groups.emplace_back(-(two ? in[0] + in[1] : in[0]), g);
  }
  std::sort(groups.begin(), groups.end());
  std::vector<std::pair<double, int32_t>> left;
  for (int64_t g = 0; g < s.groups_used; ++g) {
    for (int64_t i = 0; i < size; ++i) {
      const int64_t e = groups[at(g)].second * size + i;
      left.emplace_back(-choice[at(e)], static_cast<int32_t>(e));
    }
  }
  std::sort(left.begin(), left.end());
  std::vector<int32_t> out;
  for (int64_t i = 0; i < s.used; ++i) out.push_back(left[at(i)].second);
  return out;
}

Doubles weights_oracle(const Doubles& logits, const std::vector<float>& bias, const RouteShape& s,
                       std::vector<int32_t>* chosen = nullptr) {
  Doubles y;
  for (size_t t = 0; t < logits.size(); t += at(s.experts)) {
    const Doubles scores = scores_oracle(&logits[t], s);
    const auto best = choice_oracle(scores, bias, s);
    double sum = 1e-20;
    for (int32_t e : best) sum += scores[at(e)];
    for (int32_t e : best) y.push_back(scores[at(e)] / (s.normalise ? sum : 1.0) * s.scale);
    if (chosen != nullptr) chosen->insert(chosen->end(), best.begin(), best.end());
  }
  return y;
}

std::vector<RouteShape> shapes() {
  std::vector<RouteShape> out = {
      v3_shape(16, 4, 2, 3), v3_shape(24, 8, 4, 8), v3_shape(5, 5, 3, 2), v3_shape(7, 1, 1, 7),
      v2_shape(16, 1, 1, 6), v2_shape(18, 3, 1, 4), v2_shape(33, 1, 1, 1)};
  out.push_back(v2_shape(12, 4, 2, 3));
  out.back().normalise = true;
  out.push_back(v3_shape(12, 4, 2, 3));
  out.back().normalise = false;
  return out;
}

TEST(Route, WeightsAndTheirGradient) {
  for (const RouteShape& s : shapes()) {
    for (bool biased : {false, true}) {
      std::vector<float> bias;
      if (biased) bias = random_floats(s.experts, 8, -2.0f, 0.5f);  // most choice scores negative
      const Weight b = bias_of(bias);
      check({[&](Ctx& cx, const auto& x, const auto&) {
               return route(cx, x[0], biased ? &b : nullptr, s).weights;
             },
             [&](const auto& in) { return weights_oracle(in[0], bias, s); },
             {{6, s.experts}},
             {}});
    }
  }
}

TEST(Route, ChoosesAsPublished) {
  for (const RouteShape& s : shapes()) {
    std::vector<float> bias = random_floats(s.experts, 8, -3.0f, 1.0f);
    const Weight b = bias_of(bias);
    const auto logits = random_floats(50 * s.experts, 5, -4, 4);
    std::vector<int32_t> expected;
    weights_oracle({logits.begin(), logits.end()}, bias, s, &expected);
    std::vector<int64_t> counts(at(s.experts), 7), by_hand(at(s.experts), 7);
    Bench bench(2, false);
    const Routing r = route(bench.ctx, bench.leaf(logits, 50, s.experts), &b, s, counts);
    EXPECT_EQ(expected, std::vector<int32_t>(r.experts, r.experts + 50 * s.used));
    for (int32_t e : expected) ++by_hand[at(e)];
    EXPECT_EQ(by_hand, counts);
    EXPECT_EQ(r.scores.rows, 50);
    EXPECT_EQ(r.scores.cols, s.experts);
  }
}

// One token's experts.
std::vector<int32_t> choose(const std::vector<float>& logits, std::vector<float> bias,
                            const RouteShape& s, std::vector<float>* weights = nullptr) {
  Bench bench(1, false);
  const Weight b = bias_of(bias);
  const Routing r =
      route(bench.ctx, bench.leaf(logits, 1, s.experts), bias.empty() ? nullptr : &b, s);
  if (weights != nullptr) *weights = Bench::copy(r.weights);
  return {r.experts, r.experts + s.used};
}

using Ids = std::vector<int32_t>;

// All choice scores of the best group are negative: a mask of 0 instead of -inf would pick others.
TEST(Route, NegativeScoresStayInTheirGroups) {
  const std::vector<float> bias = {-3, -3, -1.5f, -1.6f, -4, -4, -5, -5};
  EXPECT_EQ(choose({0, 0, 0, 0, 0, 0, 0, 0}, bias, v3_shape(8, 4, 1, 2)), (Ids{2, 3}));
  EXPECT_EQ(choose({0, 0, 0, 0, 0, 0, 0, 0}, bias, v3_shape(8, 4, 2, 4)), (Ids{2, 3, 0, 1}));
}

TEST(Route, TiesGoToTheLowerIndex) {
  const std::vector<float> flat(12, 0.5f);
  EXPECT_EQ(choose(flat, {}, v3_shape(12, 4, 2, 4)), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(choose(flat, {}, v2_shape(12, 1, 1, 3)), (Ids{0, 1, 2}));
  std::vector<float> last = flat;
  last[11] = 1.0f;  // its group comes first, and still the lower group's experts come before
  EXPECT_EQ(choose(last, {}, v3_shape(12, 4, 2, 4)), (Ids{11, 0, 1, 2}));
}

TEST(Route, InfinitiesAndNan) {
  const RouteShape s = v3_shape(8, 4, 2, 3);
  const std::vector<float> zero(8, 0.0f);
  // Every group at -inf: still distinct experts, from the first groups.
  EXPECT_EQ(choose(zero, std::vector<float>(8, -kInf), s), (Ids{0, 1, 2}));
  // One of a group at -inf: the group goes behind whole ones.
  EXPECT_EQ(choose(zero, {-kInf, 1, 0, 0, 0, 0, -kInf, 5}, s), (Ids{2, 3, 4}));
  // +inf and -inf in one group have no sum: the group counts as -inf.
  EXPECT_EQ(choose(zero, {kInf, -kInf, 0, 0, 0, 0, 0, 0}, s), (Ids{2, 3, 4}));
  // A NaN is never better than a number.
  std::vector<float> weights;
  EXPECT_EQ(choose({kNan, 0, 0, 0, 0, 0, 0, 0}, {}, s, &weights), (Ids{2, 3, 4}));
  for (float w : weights) EXPECT_TRUE(std::isfinite(w));
  // Nothing but NaN: experts that exist, and weights that show it.
  for (const RouteShape& shape : {s, v2_shape(8, 1, 1, 3)}) {
    EXPECT_EQ(choose(std::vector<float>(8, kNan), {}, shape, &weights), (Ids{0, 1, 2}));
    for (float w : weights) EXPECT_TRUE(std::isnan(w));
  }
  EXPECT_EQ(choose(std::vector<float>(8, -kInf), {}, s, &weights), (Ids{0, 1, 2}));
  for (float w : weights) EXPECT_TRUE(std::isfinite(w));
}

TEST(Route, BiasChoosesButDoesNotWeigh) {
  std::vector<float> plain, biased;
  const std::vector<float> logits = {1, 2, 0, -1};
  const RouteShape s = v3_shape(4, 1, 1, 2);
  EXPECT_EQ(choose(logits, {}, s, &plain), (Ids{1, 0}));
  EXPECT_EQ(choose(logits, {7, 3, 0, 0}, s, &biased), (Ids{0, 1}));
  EXPECT_EQ(plain[0], biased[1]);
  EXPECT_NEAR(biased[0] + biased[1], 2.5f, 1e-6f);
}

// alpha * sum of f P over segments, by the formulas of the paper.
double balance_oracle(const Doubles& logits, const std::vector<int32_t>& chosen,
                      const RouteShape& s, double alpha, const std::vector<Segment>& segments) {
  double value = 0.0;
  for (const Segment& segment : segments) {
    const auto rows = static_cast<double>(segment.rows);
    Doubles f(at(s.experts)), p(at(s.experts));
    for (int64_t t = segment.row; t < segment.row + segment.rows; ++t) {
      const Doubles scores = scores_oracle(&logits[at(t * s.experts)], s);
      const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
      for (size_t i = 0; i < p.size(); ++i) p[i] += scores[i] / sum / rows;
      for (int64_t k = 0; k < s.used; ++k) {
        f[at(chosen[at(t * s.used + k)])] +=
            static_cast<double>(s.experts) / (static_cast<double>(s.used) * rows);
      }
    }
    for (size_t i = 0; i < f.size(); ++i) value += alpha * f[i] * p[i];
  }
  return value;
}

TEST(Route, BalanceLossAndItsGradient) {
  const std::vector<Segment> segments = {
      {.row = 0, .rows = 4}, {.row = 4, .rows = 1}, {.row = 5, .rows = 2}};
  for (const RouteShape& s : {v3_shape(12, 4, 2, 3), v2_shape(10, 1, 1, 2)}) {
    const auto values = random_floats(7 * s.experts, 3, -2, 2);
    Doubles logits(values.begin(), values.end());
    const auto d_weights = random_floats(7 * s.used, 4);
    Bench bench(2);
    double value = 10.0;
    const BalanceLoss balance{0.3, segments, &value};
    const Routing r = route(bench.ctx, bench.leaf(values, 7, s.experts), nullptr, s, {}, &balance);
    const std::vector<int32_t> chosen(r.experts, r.experts + 7 * s.used);
    EXPECT_NEAR(value, 10.0 + balance_oracle(logits, chosen, s, 0.3, segments), 1e-6);
    const auto grads = bench.backward(r.weights, d_weights);
    const auto loss = [&] {
      double sum = balance_oracle(logits, chosen, s, 0.3, segments);
      const Doubles w = weights_oracle(logits, {}, s);
      for (size_t i = 0; i < w.size(); ++i) sum += static_cast<double>(d_weights[i]) * w[i];
      return sum;
    };
    Doubles exact;
    for (double& x : logits) {
      const double before = x;
      x = before + 1e-5;
      const double up = loss();
      x = before - 1e-5;
      exact.push_back((up - loss()) / 2e-5);
      x = before;
    }
    expect_near(exact, grads[0], 128, "gradient of the logits");
  }
}

TEST(Route, CorrectionBiasFollowsTheLoad) {
  std::vector<float> bias = {0, 1, 2, 3};
  const std::vector<int64_t> counts = {0, 4, 4, 8};
  update_correction_bias(bias, counts, 0.5);
  EXPECT_EQ(bias, (std::vector<float>{0.5f, 1, 2, 2.5f}));
  const std::vector<int64_t> uneven = {1, 1, 1, 2};  // mean 1.25
  update_correction_bias(bias, uneven, 1.0);
  EXPECT_EQ(bias, (std::vector<float>{1.5f, 2, 3, 1.5f}));
}

TEST(Route, SameBitsForAnyCompany) {
  for (const RouteShape& s : {v3_shape(256, 8, 4, 8), v2_shape(64, 1, 1, 6)}) {
    const auto logits = random_floats(90 * s.experts, 3, -6, 6);
    std::vector<float> bias = random_floats(s.experts, 4, -0.2f, 0.2f);
    const Weight b = bias_of(bias);
    const std::vector<Segment> segments = {{.row = 0, .rows = 50}, {.row = 50, .rows = 40}};
    const BalanceLoss balance{0.01, segments, nullptr};
    std::vector<float> weights, scores, grad;
    std::vector<int32_t> chosen;
    for (const Kernels* t : available_kernels()) {
      const WithKernels scope(*t);
      for (int threads : {1, 3}) {
        Bench bench(threads);
        const Routing r = route(bench.ctx, bench.leaf(logits, 90, s.experts), &b, s, {}, &balance);
        const auto w = Bench::copy(r.weights), all = Bench::copy(r.scores);
        const std::vector<int32_t> ids(r.experts, r.experts + 90 * s.used);
        const auto g = bench.backward(r.weights, random_floats(90 * s.used, 6))[0];
        if (weights.empty()) {
          weights = w;
          scores = all;
          chosen = ids;
          grad = g;
        }
        EXPECT_EQ(chosen, ids);
        expect_same_bits(weights, w, t->isa);
        expect_same_bits(scores, all, t->isa);
        expect_same_bits(grad, g, t->isa);
      }
    }
    Bench bench(1, false);
    for (int64_t t : {0, 41, 89}) {
      const std::vector<float> one(logits.begin() + t * s.experts,
                                   logits.begin() + (t + 1) * s.experts);
      const Routing r = route(bench.ctx, bench.leaf(one, 1, s.experts), &b, s);
      expect_same_bits({weights.data() + t * s.used, at(s.used)}, Bench::copy(r.weights), "alone");
    }
  }
}

// The sum over experts.

// Parameters of `count` experts.
struct Mixture {
  Mixture(int64_t count, int64_t dim, int64_t ffn) {
    for (int64_t i = 0; i < 3 * count; ++i) {
      const bool down = i % 3 == 2;
      parameters.emplace_back(random_floats(dim * ffn, static_cast<uint64_t>(i + 20), -0.5f, 0.5f),
                              down ? dim : ffn, down ? ffn : dim, Layout::kPanels);
    }
    for (size_t i = 0; i < parameters.size(); i += 3) {
      weights.push_back(
          {parameters[i].weight(), parameters[i + 1].weight(), parameters[i + 2].weight()});
    }
  }
  std::vector<Parameter> parameters;
  std::vector<ExpertWeights> weights;
};

// in: x (T, dim), weights (T, used), then gate, up and down of each expert.
Doubles experts_oracle(const std::vector<Doubles>& in, const Ids& chosen, int64_t tokens,
                       int64_t dim, int64_t ffn) {
  const auto used = static_cast<int64_t>(chosen.size()) / tokens;
  Doubles y(in[0].size(), 0.0);
  for (int64_t v = 0; v < tokens * used; ++v) {
    const int64_t t = v / used;
    const size_t first = 2 + 3 * at(chosen[at(v)]);
    for (int64_t f = 0; f < ffn; ++f) {
      double gate = 0.0, up = 0.0;
      for (int64_t i = 0; i < dim; ++i) {
        gate += in[0][at(t * dim + i)] * in[first][at(f * dim + i)];
        up += in[0][at(t * dim + i)] * in[first + 1][at(f * dim + i)];
      }
      const double h = gate / (1.0 + std::exp(-gate)) * up * in[1][at(v)];
      for (int64_t i = 0; i < dim; ++i) y[at(t * dim + i)] += h * in[first + 2][at(i * ffn + f)];
    }
  }
  return y;
}

TEST(Experts, SumAndGradients) {
  constexpr int64_t kTokens = 5, kDim = 19, kFfn = 7, kExperts = 4;
  const std::vector<Ids> patterns = {
      {3, 0, 1, 2, 0, 3, 2, 0, 1, 3},  // all experts, in no order
      {2, 0, 2, 0, 0, 2, 2, 0, 0, 2},  // two idle
      {1, 1, 1, 1, 1, 1, 1, 1, 1, 1},  // one twice
      {3, 2, 1, 0, 2},                 // one expert a token
  };
  for (const Ids& chosen : patterns) {
    const auto used = static_cast<int64_t>(chosen.size()) / kTokens;
    std::vector<testing::WeightShape> weights;
    for (int64_t e = 0; e < kExperts; ++e) {
      weights.push_back({kFfn, kDim, Layout::kPanels});
      weights.push_back({kFfn, kDim, Layout::kPanels});
      weights.push_back({kDim, kFfn, Layout::kPanels});
    }
    for (bool again : {false, true}) {  // gradients that meet others
      std::vector<ExpertWeights> mixture;
      check({[&](Ctx& cx, const auto& x, const auto& w) {
               mixture.clear();
               for (size_t i = 0; i < w.size(); i += 3)
                 mixture.push_back({w[i], w[i + 1], w[i + 2]});
               const Routing routing{used, chosen.data(), x[1], {}};
               const Tensor y = experts(cx, x[0], routing, mixture);
               return again ? add(cx, add(cx, y, x[0]), experts(cx, x[0], routing, mixture)) : y;
             },
             [&](const auto& in) {
               Doubles y = experts_oracle(in, chosen, kTokens, kDim, kFfn);
               for (size_t i = 0; again && i < y.size(); ++i) y[i] += y[i] + in[0][i];
               return y;
             },
             {{kTokens, kDim}, {kTokens, used}},
             weights,
             128});
    }
  }
}

struct Layer {
  static constexpr int64_t kDim = 40, kFfn = 24, kExperts = 16;
  RouteShape shape = v3_shape(kExperts, 4, 2, 4);
  Mixture mixture{kExperts, kDim, kFfn};
  Parameter router{random_floats(kExperts * kDim, 7), kExperts, kDim, Layout::kPanels};

  Tensor forward(Ctx& cx, const Tensor& x) {
    const Routing r = route(cx, linear(cx, x, router.weight()), nullptr, shape);
    return experts(cx, x, r, mixture.weights);
  }
};

// Forward and all gradients of a layer with router and experts.
std::vector<std::vector<float>> layer_step(int threads, const std::vector<float>& x) {
  Layer layer;
  Bench bench(threads);
  const auto rows = static_cast<int64_t>(x.size()) / Layer::kDim;
  const Tensor out = layer.forward(bench.ctx, bench.leaf(x, rows, Layer::kDim));
  std::vector<std::vector<float>> results = {Bench::copy(out)};
  results.push_back(bench.backward(out, random_floats(out.size(), 2))[0]);
  results.push_back(layer.router.grad);
  for (const Parameter& p : layer.mixture.parameters) results.push_back(p.grad);
  return results;
}

TEST(Experts, SameBitsForAnyCompany) {
  const auto x = random_floats(70 * Layer::kDim, 1, -2, 2);
  std::vector<std::vector<float>> expected;
  for (const Kernels* t : available_kernels()) {
    const WithKernels scope(*t);
    for (int threads : {1, 2, 5, 20}) {  // the last: more threads than experts
      const auto got = layer_step(threads, x);
      if (expected.empty()) expected = got;
      ASSERT_EQ(expected.size(), got.size());
      for (size_t i = 0; i < got.size(); ++i) {
        expect_same_bits(expected[i], got[i],
                         std::string(t->isa) + " " + std::to_string(threads) + " threads, result " +
                             std::to_string(i));
      }
    }
  }
  for (const auto& result : expected) {
    double sum = 0.0;
    for (float v : result) sum += std::fabs(static_cast<double>(v));
    EXPECT_GT(sum, 0.0);
    EXPECT_TRUE(std::isfinite(sum));
  }
  Layer layer;
  Bench bench(3, false);  // without a tape, in other batches
  for (const auto& [begin, count] :
       {std::pair<int64_t, int64_t>{0, 70}, {0, 1}, {69, 1}, {13, 9}, {20, 50}}) {
    const std::vector<float> part(x.begin() + begin * Layer::kDim,
                                  x.begin() + (begin + count) * Layer::kDim);
    const Tensor y = layer.forward(bench.ctx, bench.leaf(part, count, Layer::kDim));
    expect_same_bits({expected[0].data() + begin * Layer::kDim, at(count * Layer::kDim)},
                     Bench::copy(y), std::to_string(count) + " rows from " + std::to_string(begin));
  }
}

// More visits than are worked on at a time, most of them to one expert.
TEST(Experts, ManyTokens) {
  constexpr int64_t kTokens = 700;
  Mixture mixture(3, 16, 8);
  const auto x = random_floats(kTokens * 16, 1), w = random_floats(kTokens * 2, 2);
  Ids chosen;
  for (int32_t t = 0; t < kTokens; ++t) chosen.insert(chosen.end(), {t % 97 == 0 ? 0 : 2, 1});
  const auto sum = [&](Bench& bench, int64_t begin, int64_t count) {
    const Tensor weights =
        bench.leaf({w.begin() + 2 * begin, w.begin() + 2 * (begin + count)}, count, 2);
    const Routing r{2, chosen.data() + 2 * begin, weights, {}};
    const Tensor rows =
        bench.leaf({x.begin() + 16 * begin, x.begin() + 16 * (begin + count)}, count, 16);
    return Bench::copy(experts(bench.ctx, rows, r, mixture.weights));
  };
  Bench plain(2, false), taped(2);
  const auto expected = sum(plain, 0, kTokens);
  expect_same_bits(expected, sum(taped, 0, kTokens), "with a tape");
  for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, 1}, {97, 2}, {300, 400}}) {
    expect_same_bits({expected.data() + 16 * begin, at(16 * count)}, sum(plain, begin, count),
                     std::to_string(count) + " tokens from " + std::to_string(begin));
  }
}

// The order of the sum is that of expert indices, not that of the choice.
TEST(Experts, AddUpInAscendingOrder) {
  Mixture mixture(3, 8, 4);
  const auto x = random_floats(8, 1), w = random_floats(3, 2);
  const auto sum = [&](const Ids& chosen, const std::vector<float>& weights) {
    Bench bench(1, false);
    const Tensor t = bench.leaf(x, 1, 8);
    const Routing r{static_cast<int64_t>(chosen.size()),
                    chosen.data(),
                    bench.leaf(weights, 1, static_cast<int64_t>(chosen.size())),
                    {}};
    return Bench::copy(experts(bench.ctx, t, r, mixture.weights));
  };
  expect_same_bits(sum({0, 1, 2}, w), sum({2, 0, 1}, {w[2], w[0], w[1]}), "another order");
  std::vector<float> expected(8, 0.0f);
  for (int32_t e : {0, 1, 2}) {
    const auto y = sum({e}, {1.0f});
    for (size_t i = 0; i < 8; ++i) expected[i] = std::fma(w[at(e)], y[i], expected[i]);
  }
  expect_same_bits(expected, sum({1, 2, 0}, {w[1], w[2], w[0]}), "the chain");
}

TEST(Experts, NoTokensAndNoSuchExpert) {
  Mixture mixture(2, 8, 4);
  Bench bench(1, false);
  const Routing none{1, nullptr, bench.ctx.output(0, 1), {}};
  EXPECT_EQ(experts(bench.ctx, bench.ctx.output(0, 8), none, mixture.weights).rows, 0);
  const int32_t wrong[] = {2};
  const Routing r{1, wrong, bench.leaf({1}, 1, 1), {}};
  EXPECT_DEATH(experts(bench.ctx, bench.leaf(random_floats(8, 1), 1, 8), r, mixture.weights),
               "no such expert");
}

}  // namespace
}  // namespace ponder
